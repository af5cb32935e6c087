//! `http`: the notification API, or any webhook; one POST a notification.
//!
//! The body is the contract's, `{"emailType": …, "group_email": …, "data": …}`, or what a template
//! makes, which has to be JSON too. The answer's status alone decides.

use std::sync::Arc;
use std::time::Duration;

use crate::aws::Session;
use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::Sha256;
use url::Url;

use super::{Channel, ChannelConfig, ConnectError};
use crate::notify::post::{Post, PostTarget, ReadBody, missing};
use crate::notify::route_parser::RouteParser;
use crate::notify::template::{Escape, Template};
use crate::notify::{Audience, Content, Notification, Notifier, NotifyError, TemplateError};
use crate::redact::{Redactor, Rules, is_scheme, names_a_secret};
use crate::report::notice::Notice;
use crate::settings::secret::{Secret, TextOrSecret, exposed};
use crate::settings::{InvalidValue, values};

/// The channel.
pub const CHANNEL: Channel = Channel { name: "http", read };

/// The header that carries the signature of the body, where no other is named.
pub const SIGNATURE: &str = "x-misstep-signature";

/// Headers that are the channel's own.
const OWN: &[&str] = &["content-type", "content-length", "host", "idempotency-key", "transfer-encoding"];

/// Where secrets stand.
const ELSEWHERE: &str = "{ env = \"VARIABLE\" } or { file = \"PATH\" }";

/// The settings of a route over HTTP.
#[derive(Debug, Clone)]
pub struct HttpRoute {
    /// Where to post.
    pub target: PostTarget,
    /// The fields around the data.
    pub envelope: Envelope,
    /// `Authorization: Bearer …`
    pub bearer_token: Option<Secret>,
    /// Signs the body with HMAC-SHA256, in the header named.
    pub signature: Option<(HeaderName, Secret)>,
    /// Further headers.
    pub headers: Vec<(HeaderName, TextOrSecret)>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// The most bytes of a body.
    pub max_bytes: usize,
    /// The template of the body, instead of the envelope.
    pub body: Option<Template>,
}

/// The fields around the data: whom the API sends mail to, and of which kind.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// The kind of mail; the audience's own where none is given.
    pub email_type: Option<String>,
    /// The group address.
    pub group_email: Option<String>,
}

impl Envelope {
    /// The request's body.
    pub fn around(&self, audience: &Audience, notice: &Notice<'_>) -> String {
        /// The body, in the contract's words.
        #[derive(Serialize)]
        struct Body<'b> {
            #[serde(rename = "emailType", skip_serializing_if = "Option::is_none")]
            email_type: Option<&'b str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            group_email: Option<&'b str>,
            data: &'b Notice<'b>,
        }
        let email_type = self.email_type.as_deref().or(audience.email_type());
        let body = Body { email_type, group_email: self.group_email.as_deref(), data: notice };
        serde_json::to_string(&body).expect("a report has only text keys")
    }
}

impl HttpRoute {
    /// A route to a notification API.
    pub fn to(url: Url, group_email: Option<String>, timeout: Duration, max_bytes: usize) -> Self {
        Self {
            target: PostTarget::Plain(url),
            envelope: Envelope { email_type: None, group_email },
            bearer_token: None,
            signature: None,
            headers: Vec::new(),
            timeout,
            max_bytes,
            body: None,
        }
    }
}

fn read(route: &mut RouteParser<'_, '_>) -> Option<Arc<dyn ChannelConfig>> {
    let RouteParser { fields, defaults, audience, .. } = route;
    let target = match fields.text_or_secret("url") {
        Some(TextOrSecret::Secret(secret)) => Some(PostTarget::Secret(secret)),
        Some(TextOrSecret::Plain(text)) => match values::api_url(&text) {
            Ok(url) if url.password().is_some() => {
                let why = format!("there is a password in it: write {ELSEWHERE}");
                fields.fault("url", InvalidValue::not_allowed(why));
                None
            }
            Ok(url) => Some(PostTarget::Plain(url)),
            Err(why) => {
                fields.fault("url", why);
                None
            }
        },
        None if fields.has("url") => None,
        None => {
            if defaults.api.is_none() {
                let why = "is missing, and so is MISSTEP_NOTIFICATION_API, which it is taken from";
                fields.fault("url", InvalidValue::not_allowed(why));
            }
            defaults.api.clone().map(PostTarget::Plain)
        }
    };
    let own_email = match audience {
        Audience::Developers => defaults.internal_email.clone(),
        Audience::CustomerAssist => defaults.external_email.clone(),
        Audience::Other(_) => None,
    };
    let group_email = fields.text("group_email", values::email).or(own_email);
    let email_type = fields.text("email_type", values::name);
    let bearer_token = fields.secret("bearer_token");
    let hmac_secret = fields.secret("hmac_secret");
    let signature_header = fields.text("signature_header", header_name);
    let mut headers = Vec::new();
    for (name, value) in fields.pairs("headers") {
        let checked = header_name(&name).and_then(|name| match &value {
            TextOrSecret::Plain(_) if names_a_secret(name.as_str()) => {
                Err(InvalidValue::not_allowed(format!("{name} names a secret: write {ELSEWHERE}")))
            }
            TextOrSecret::Plain(text) if holds_a_secret(text) => {
                Err(InvalidValue::not_allowed(format!("the value of {name} is a secret: write {ELSEWHERE}")))
            }
            TextOrSecret::Plain(text) if HeaderValue::from_str(text).is_err() => {
                Err(InvalidValue::not_allowed(format!("the value of {name} cannot be sent")))
            }
            _ => Ok(name),
        });
        match checked {
            Ok(name) if name == AUTHORIZATION && bearer_token.is_some() => {
                let why = "authorization stands beside bearer_token";
                fields.fault("headers", InvalidValue::not_allowed(why));
            }
            Ok(name) => headers.push((name, value)),
            Err(why) => fields.fault("headers", why),
        }
    }
    if signature_header.is_some() && !fields.has("hmac_secret") {
        let why = "there is no hmac_secret to sign with";
        fields.fault("signature_header", InvalidValue::not_allowed(why));
    }
    let signed = signature_header.clone().unwrap_or(HeaderName::from_static(SIGNATURE));
    if signed == AUTHORIZATION || headers.iter().any(|(name, _)| *name == signed) {
        fields.fault("signature_header", InvalidValue::not_allowed("another header has this name"));
    }
    let timeout = route.timeout();
    let max_bytes = route.max_bytes();
    let body = route.template("body", Escape::Json);
    let http = HttpRoute {
        target: target?,
        envelope: Envelope { email_type, group_email },
        bearer_token,
        signature: hmac_secret
            .map(|secret| (signature_header.unwrap_or(HeaderName::from_static(SIGNATURE)), secret)),
        headers,
        timeout,
        max_bytes,
        body,
    };
    Some(Arc::new(http))
}

/// Whether a text that stands in the file is a secret: it begins as credentials do, or redaction would
/// remove something of it.
fn holds_a_secret(text: &str) -> bool {
    let is_credential = text.trim_start().split_once(' ').is_some_and(|(scheme, _)| is_scheme(scheme));
    is_credential || Redactor::new(&Rules::default()).redact(&mut text.to_owned()).values > 0
}

fn header_name(text: &str) -> Result<HeaderName, InvalidValue> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| InvalidValue::malformed(format!("a header's name: {text:?}")))?;
    if OWN.contains(&name.as_str()) {
        return Err(InvalidValue::not_allowed(format!("{name} is set by misstep itself")));
    }
    Ok(name)
}

impl ChannelConfig for HttpRoute {
    fn connect(&self, _aws: Option<&Session>) -> Result<Arc<dyn Notifier>, ConnectError> {
        Ok(Arc::new(HttpApi::new(self.clone())?))
    }
}

/// The notification API.
#[derive(Debug, Clone)]
pub struct HttpApi {
    settings: HttpRoute,
    post: Post,
}

impl HttpApi {
    /// The API that the settings name.
    ///
    /// # Errors
    /// When the TLS set-up fails.
    pub fn new(settings: HttpRoute) -> Result<Self, ConnectError> {
        let post = Post::new(settings.target.clone(), settings.timeout)?;
        Ok(Self { settings, post })
    }

    fn headers(&self, idempotency_key: &str, body: &[u8]) -> Result<HeaderMap, NotifyError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut put = |name: HeaderName, text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| NotifyError::Misconfigured {
                what: format!("the value of the header {name} cannot be sent: it has characters that headers may not have"),
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok(())
        };
        put(HeaderName::from_static("idempotency-key"), idempotency_key)?;
        for (name, text) in &self.settings.headers {
            let text = text.reveal().map_err(|error| missing(&format!("the header {name}"), &error))?;
            put(name.clone(), exposed(&text))?;
        }
        if let Some(token) = &self.settings.bearer_token {
            let token = token.reveal().map_err(|error| missing("the bearer token", &error))?;
            put(AUTHORIZATION, &format!("Bearer {}", exposed(&token)))?;
        }
        if let Some((name, secret)) = &self.settings.signature {
            let secret = secret.reveal().map_err(|error| missing("the HMAC secret", &error))?;
            put(name.clone(), &signature(exposed(&secret), body))?;
        }
        Ok(headers)
    }
}

/// `sha256=` and the body's HMAC-SHA256 in hexadecimal digits.
fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

#[async_trait]
impl Notifier for HttpApi {
    fn limit(&self) -> usize {
        self.settings.max_bytes
    }

    fn compose(&self, content: &Content<'_>) -> Result<Notification, TemplateError> {
        let body = match &self.settings.body {
            Some(template) => template.render(content)?,
            None => self.settings.envelope.around(content.audience, content.notice),
        };
        Ok(Notification::of(content, body))
    }

    async fn check(&self) -> Result<Option<String>, NotifyError> {
        self.headers("misstep-check", b"")?;
        self.post.reach().await.map(Some)
    }

    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError> {
        let headers = self.headers(&notification.idempotency_key, &notification.body)?;
        self.post.send(headers, notification.body.clone(), ReadBody::Status).await?.judge()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }
}
