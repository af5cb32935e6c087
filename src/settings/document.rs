//! The configuration file, as far as it is more than single settings: tables whose keys are read one
//! by one, so that every fault is found, each with the line that it stands in.
//!
//! No fault repeats a value, unless the reader of that value says so: it may be a secret that was
//! written into the wrong place.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret::{Secret, TextOrSecret};
use super::{Fault, InvalidValue};

/// Looks a variable up.
pub(crate) type Variables<'v> = dyn Fn(&str) -> Option<String> + 'v;

/// A configuration file.
#[derive(Debug)]
pub(crate) struct Document {
    path: String,
    text: String,
}

impl Document {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// That it cannot be read.
    pub(crate) fn read(path: &str) -> Result<Self, Vec<Fault>> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            vec![Fault::Unreadable { origin: format!("configuration file {path}"), error }]
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// What is in it.
    ///
    /// # Errors
    /// Everything in it that is not TOML.
    pub(crate) fn table(&self) -> Result<DeTable<'_>, Vec<Fault>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(table.into_inner());
        }
        let fault = |error: toml::de::Error| {
            let origin = self.place(error.span().map_or(0, |span| span.start));
            // Its message alone: the rest of it shows the line.
            Fault::NotToml { origin, what: error.message().to_owned() }
        };
        Err(errors.into_iter().map(fault).collect())
    }

    /// `configuration file misstep.toml, line 3`
    fn place(&self, offset: usize) -> String {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        format!("configuration file {}, line {line}", self.path)
    }

    /// The single settings in its table, those under `[incidents]` and `[sweep]` with that before their key: key, value
    /// as a flag would hold it (`None` for what no flag can hold), and place.
    pub(crate) fn settings<'d>(
        &'d self,
        table: &'d DeTable<'_>,
    ) -> impl Iterator<Item = (String, Option<String>, String)> {
        let single = table.iter().filter(|(key, _)| key.get_ref().as_ref() != ROUTES);
        single.flat_map(|(key, value)| {
            let name = key.get_ref().as_ref();
            match value.get_ref().as_table().filter(|_| SECTIONS.contains(&name)) {
                Some(section) => {
                    let inner = section.iter().map(|(key, value)| {
                        let place = self.place(key.span().start);
                        (format!("{name}.{}", key.get_ref()), plain(value.get_ref()), place)
                    });
                    inner.collect::<Vec<_>>()
                }
                None => vec![(name.to_owned(), plain(value.get_ref()), self.place(key.span().start))],
            }
        })
    }

    /// The tables under `[[routes]]` in its table.
    pub(crate) fn routes<'d>(
        &'d self,
        table: &'d DeTable<'d>,
        variables: &'d Variables<'d>,
    ) -> Result<Vec<SettingsTable<'d>>, Vec<Fault>> {
        let Some(routes) = table.get(ROUTES) else { return Ok(Vec::new()) };
        let items = routes.get_ref().as_array().map(|items| items.iter());
        let tables = items.into_iter().flatten().map(|item| {
            let table = item.get_ref().as_table()?;
            Some(SettingsTable::new(self, table, item.span().start, variables))
        });
        let tables: Option<Vec<_>> = tables.collect();
        match tables {
            Some(tables) if !tables.is_empty() => Ok(tables),
            _ => {
                let origin = format!("{}: {ROUTES}", self.place(routes.span().start));
                let why = InvalidValue::expected("one table or more, each under [[routes]]");
                Err(vec![Fault::Value { origin, why }])
            }
        }
    }
}

/// Whether a table says who is told.
pub(crate) fn has_routes(table: &DeTable<'_>) -> bool {
    table.contains_key(ROUTES)
}

/// The key of the tables that say who is told, and how.
const ROUTES: &str = "routes";

/// Tables of settings.
const SECTIONS: &[&str] = &["incidents", "sweep"];

/// A TOML value as the text that a flag or a variable would hold.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// The keys of one table. Whatever is not asked for is a fault in the end.
pub(crate) struct SettingsTable<'d> {
    document: &'d Document,
    table: &'d DeTable<'d>,
    offset: usize,
    /// What faults name besides the line: `routes: on-call`.
    subject: String,
    asked: Vec<&'static str>,
    faults: Vec<Fault>,
    variables: &'d Variables<'d>,
}

impl<'d> SettingsTable<'d> {
    fn new(
        document: &'d Document,
        table: &'d DeTable<'d>,
        offset: usize,
        variables: &'d Variables<'d>,
    ) -> Self {
        let subject = ROUTES.to_owned();
        Self { document, table, offset, subject, asked: Vec::new(), faults: Vec::new(), variables }
    }

    /// Has later faults name this too.
    pub(crate) fn about(&mut self, name: &str) {
        self.subject = format!("{ROUTES}: {name}");
    }

    fn get(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// Whether a key is there; asks for nothing.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Says that something is wrong with a key, or with the whole table where the key is not there.
    pub(crate) fn fault(&mut self, key: &str, why: InvalidValue) {
        let offset = self.table.get_key_value(key).map_or(self.offset, |(key, _)| key.span().start);
        let place = self.document.place(offset);
        let origin = format!("{place}: {}: {key}", self.subject);
        self.faults.push(Fault::Value { origin, why });
    }

    /// Takes what was read, or says that the key is missing, unless it was there and faulty.
    pub(crate) fn needed<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(key) {
            self.fault(key, InvalidValue::Missing);
        }
        value
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'d DeValue<'d>) -> Result<T, InvalidValue>,
    ) -> Option<T> {
        match read(self.get(key)?.get_ref()) {
            Ok(value) => Some(value),
            Err(why) => {
                self.fault(key, why);
                None
            }
        }
    }

    /// A string, read further by `read`.
    pub(crate) fn text<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, InvalidValue>,
    ) -> Option<T> {
        self.read(key, |value| read(string(value)?))
    }

    /// A string or a list of them, each read further by `read`. Empty when there is none.
    pub(crate) fn texts<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, InvalidValue>,
    ) -> Vec<T> {
        let items = self.read(key, |value| match value {
            DeValue::Array(items) => items.iter().map(|item| read(string(item.get_ref())?)).collect(),
            value => string(value).and_then(|text| Ok(vec![read(text)?])),
        });
        items.unwrap_or_default()
    }

    /// The same, but a list has to have something in it.
    pub(crate) fn some_texts<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, InvalidValue>,
    ) -> Vec<T> {
        let is_empty =
            |value: &Spanned<DeValue<'_>>| value.get_ref().as_array().is_some_and(|list| list.is_empty());
        if self.table.get(key).is_some_and(is_empty) {
            self.fault(
                key,
                InvalidValue::not_allowed("an empty list takes nothing; leave the key out for all"),
            );
        }
        self.texts(key, read)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, |value| value.as_bool().ok_or_else(|| found("true or false", value)))
    }

    /// A whole number in a range.
    pub(crate) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.read(key, |value| {
            let number = value.as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
            let (least, most) = (range.start(), range.end());
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| InvalidValue::expected(format!("a whole number from {least} to {most}")))
        })
    }

    /// A secret: `{ env = "NAME" }` or `{ file = "PATH" }`.
    pub(crate) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let variables = self.variables;
        self.read(key, |value| match value {
            DeValue::Table(table) => secret(table, variables),
            _ => Err(InvalidValue::not_allowed(
                "a secret does not belong in this file: write { env = \"VARIABLE\" } or { file = \"PATH\" }",
            )),
        })
    }

    /// A string that may be shown, or a secret.
    pub(crate) fn text_or_secret(&mut self, key: &'static str) -> Option<TextOrSecret> {
        let variables = self.variables;
        self.read(key, |value| text_or_secret(value, variables))
    }

    /// A table of such texts.
    pub(crate) fn pairs(&mut self, key: &'static str) -> Vec<(String, TextOrSecret)> {
        let variables = self.variables;
        let pairs = self.read(key, |value| {
            let table = value.as_table().ok_or_else(|| found("a table", value))?;
            let pair = |(name, value): (&Spanned<_>, &Spanned<DeValue<'d>>)| {
                let name: &toml::de::DeString<'_> = name.get_ref();
                let value = text_or_secret(value.get_ref(), variables)
                    .map_err(|why| InvalidValue::Entry { name: name.to_string(), why: Box::new(why) })?;
                Ok((name.to_string(), value))
            };
            table.iter().map(pair).collect()
        });
        pairs.unwrap_or_default()
    }

    /// A text that stands here or in a file: `"…"` or `{ file = "PATH" }`.
    pub(crate) fn text_or_file(&mut self, key: &'static str) -> Option<String> {
        self.read(key, |value| match value {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Table(table) => {
                match table.iter().map(|(key, value)| (key.get_ref().as_ref(), value)).collect::<Vec<_>>()[..]
                {
                    [("file", path)] => {
                        let path = string(path.get_ref())?;
                        std::fs::read_to_string(path)
                            .map_err(|error| InvalidValue::Unreadable { path: path.into(), error })
                    }
                    _ => Err(InvalidValue::expected("a text or { file = \"PATH\" }")),
                }
            }
            value => Err(found("a text or { file = \"PATH\" }", value)),
        })
    }

    /// A table inside this one, read by `read`.
    pub(crate) fn table<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let table = self.read(key, |value| value.as_table().ok_or_else(|| found("a table", value)))?;
        let offset = self.table.get_key_value(key)?.0.span().start;
        let subject = format!("{}: {key}", self.subject);
        let mut inner = Self { subject, ..Self::new(self.document, table, offset, self.variables) };
        let value = read(&mut inner);
        self.faults.extend(inner.finish());
        Some(value)
    }

    /// The faults so far.
    pub(crate) fn faults(self) -> Vec<Fault> {
        self.faults
    }

    /// All faults, unknown keys included.
    pub(crate) fn finish(mut self) -> Vec<Fault> {
        let unknown =
            self.table.keys().map(|key| key.get_ref().as_ref()).filter(|key| !self.asked.contains(key));
        for key in unknown.map(str::to_owned).collect::<Vec<_>>() {
            let known = self.asked.join(", ");
            self.fault(&key, InvalidValue::UnknownKey { known });
        }
        self.faults
    }
}

fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, InvalidValue> {
    value.as_str().ok_or_else(|| found("a string", value))
}

fn found(expected: &'static str, value: &DeValue<'_>) -> InvalidValue {
    InvalidValue::FoundType { expected, found: value.type_str() }
}

fn text_or_secret(value: &DeValue<'_>, variables: &Variables<'_>) -> Result<TextOrSecret, InvalidValue> {
    match value {
        DeValue::String(text) => Ok(TextOrSecret::Plain(text.to_string())),
        DeValue::Table(table) => secret(table, variables).map(TextOrSecret::Secret),
        value => Err(found("a string, or a secret in { env = … } or { file = … }", value)),
    }
}

fn secret(table: &DeTable<'_>, variables: &Variables<'_>) -> Result<Secret, InvalidValue> {
    let fields: Vec<_> = table.iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect();
    match fields[..] {
        [("env", name)] => {
            let name = string(name)?;
            let value = variables(name).ok_or_else(|| InvalidValue::UnsetVariable(name.to_owned()))?;
            Ok(Secret::Variable { name: name.to_owned(), value: value.into() })
        }
        [("file", path)] => Ok(Secret::File(string(path)?.into())),
        _ => Err(InvalidValue::expected("{ env = \"VARIABLE\" } or { file = \"PATH\" }")),
    }
}
