//! A report without its secrets.

use super::Report;
use crate::analysis::resources::Resource;
use crate::redact::{Redactor, Removed};

impl Report {
    /// Removes the secrets, and counts them in `analysis.redacted`. What was removed before
    /// counts too. Returns what was removed now.
    pub fn redact(&mut self, redactor: &Redactor) -> Removed {
        let resources = self.analysis.resources.clone();
        let mut pass = redactor.pass(self);
        for (before, resource) in resources.iter().zip(&mut self.analysis.resources) {
            drop_links(before, resource);
        }
        // The timeline repeats what is in the report, and does not count.
        for instance in self.timeline.iter_mut().flat_map(|timeline| &mut timeline.instances) {
            if let Some(name) = pass.name_outside(&instance.name) {
                instance.name = name.into();
            }
            for error in instance.attempts.iter_mut().filter_map(|attempt| attempt.error.as_mut()) {
                if let Some(redacted) = pass.text_outside(error) {
                    *error = redacted;
                }
            }
        }
        let removed = pass.removed().clone();
        let all = self.analysis.redacted.take().unwrap_or_default().and(removed.clone());
        self.analysis.redacted = (all.values > 0).then_some(all);
        removed
    }

    /// The report without its secrets.
    #[must_use]
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        self.redact(redactor);
        self
    }
}

/// Drops the links of a resource of which something was removed: a link is made of the same names, in an
/// encoding in which they are not found.
fn drop_links(before: &Resource, resource: &mut Resource) {
    if before != resource {
        resource.console = None;
        resource.logs = None;
    }
}

#[cfg(test)]
mod tests {
    use crate::redact::{Redactor, Rules};
    use crate::report::{Report, Subject};

    #[test]
    fn a_report_says_how_much_was_removed_of_it_and_null_where_nothing_was() {
        let redactor = Redactor::new(&Rules::default());
        let subject = |cause: &str| Subject { cause: Some(cause.to_owned()), ..Subject::default() };
        let plain = Report::degraded(&subject("plain"), "why").redacted(&redactor);
        assert_eq!(plain.analysis.redacted, None);
        let mut secret = Report::degraded(&subject("password=hunter77"), "why");
        let removed = secret.redact(&redactor);
        assert!(removed.values > 0);
        assert_eq!(secret.analysis.redacted, Some(removed));
        let before = secret.analysis.redacted.clone();
        assert_eq!(secret.redacted(&redactor).analysis.redacted, before, "a second time changes nothing");
    }
}
