//! A limit on the size of an answer.
//!
//! An answer whose length is known and too large is refused before its body is read; any other is
//! read up to the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_sfn::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_sfn::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Frame};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Lets answers pass that have at most so many bytes; clones share the count.
#[derive(Debug, Clone)]
pub(super) struct BodyLimit {
    limit: u64,
    read: Arc<AtomicU64>,
}

impl BodyLimit {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, read: Arc::default() }
    }

    /// How many bytes the answer has, once it was read.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// An answer is too large.
#[derive(Debug, thiserror::Error)]
#[error("the answer has {bytes} bytes; at most {limit} are read")]
struct TooLarge {
    bytes: u64,
    limit: u64,
}

impl Intercept for BodyLimit {
    fn name(&self) -> &'static str {
        "BodyLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Self { limit, read } = self.clone();
        let response = context.response_mut();
        let length = response.headers().get("content-length").and_then(|length| length.parse().ok());
        if let Some(bytes) = length.filter(|bytes| *bytes > limit) {
            return Err(TooLarge { bytes, limit }.into());
        }
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let counted = body.map_frame(move |frame: Frame<Bytes>| {
            read.fetch_add(frame.data_ref().map_or(0, |data| data.len() as u64), Ordering::Relaxed);
            frame
        });
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        *response.body_mut() = SdkBody::from_body_1_x(Limited::new(counted, limit));
        Ok(())
    }
}

/// Whether a call failed because its answer is too large, and how many bytes that has where it is known.
pub(super) fn too_large(error: &(dyn std::error::Error + 'static)) -> Option<Option<u64>> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| {
        let known = error.downcast_ref::<TooLarge>().map(|TooLarge { bytes, .. }| Some(*bytes));
        known.or_else(|| error.is::<LengthLimitError>().then_some(None))
    })
}
