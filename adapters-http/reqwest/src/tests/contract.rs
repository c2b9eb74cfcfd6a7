//! The contract of transports, and transports that break it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use grantry_domain::secret::Secret;
use grantry_provider_oauth2::{
    EgressPolicy, HttpRequest, HttpResponse, HttpTransport, StreamRequest, StreamResponse, TransportError,
};
use grantry_testkit::contract::http_transport::{self as rules, TransportFactory};
use grantry_testkit::contract::rejects;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::{Limits, ReqwestTransport};

const LIMITS: Limits = Limits { total: Duration::from_secs(5), ..Limits::OAUTH };

fn transport(policy: EgressPolicy) -> Arc<dyn HttpTransport> {
    Arc::new(ReqwestTransport::new(policy, LIMITS).unwrap())
}

grantry_testkit::http_transport_contract!(transport);

/// What is wrong with a transport.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    SendsNoBody,
    SendsNoAuthorization,
    SendsOneFieldOfAName,
    ReturnsNoHeaders,
    ReturnsTextOnly,
    FollowsRedirects,
    RepeatsAfterACut,
    RepeatsAfterAStatus,
    KeepsCookies,
    RequestsCompression,
    KeepsTheEncoding,
    ReadsLargeBodies,
    CallsAnyLoopbackPort,
    ReportsEveryErrorAsNotSent,
    ReportsNotSentAsCut,
    DropsInvalidAuthorization,
    NeverGivesUp,
    IgnoresShares,
}

struct Flawed {
    inner: ReqwestTransport,
    flaw: Flaw,
    cookie: Mutex<Option<HeaderValue>>,
}

impl Flawed {
    fn with(policy: EgressPolicy, flaw: Flaw) -> Arc<dyn HttpTransport> {
        let limits = if flaw == Flaw::NeverGivesUp { Limits { total: Duration::from_hours(1), ..LIMITS } } else { LIMITS };
        let inner = ReqwestTransport::new(policy, limits).unwrap();
        Arc::new(Self { inner, flaw, cookie: Mutex::default() })
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn changed(&self, mut request: HttpRequest) -> HttpRequest {
        if self.is(Flaw::SendsNoBody) {
            request.body = None;
        }
        let is_invalid = |value: &Secret| HeaderValue::from_bytes(value.expose()).is_err();
        if self.is(Flaw::SendsNoAuthorization)
            || self.is(Flaw::DropsInvalidAuthorization) && request.authorization.as_ref().is_some_and(is_invalid)
        {
            request.authorization = None;
        }
        if self.is(Flaw::SendsOneFieldOfAName) {
            request.headers = request.headers.keys().map(|name| (name.clone(), request.headers[name].clone())).collect();
        }
        if let Some(cookie) = self.cookie.lock().unwrap().clone() {
            request.headers.insert(COOKIE, cookie);
        }
        if self.is(Flaw::RequestsCompression) {
            request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.is(Flaw::ReadsLargeBodies) {
            request.max_body = 1024 * 1024;
        }
        if self.is(Flaw::IgnoresShares) {
            request.share = None;
        }
        request
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let (again, method) = (copy(&request), request.method.clone());
        let response = self.inner.send(request).await;
        let follow = |url: &str| HttpRequest { method, url: url.to_owned(), ..copy(&again) };
        match &response {
            Err(TransportError::Cut) if self.is(Flaw::RepeatsAfterACut) => self.inner.send(again).await,
            Ok(got) if self.is(Flaw::RepeatsAfterAStatus) && got.status == StatusCode::SERVICE_UNAVAILABLE => {
                self.inner.send(again).await
            }
            Ok(got) if self.is(Flaw::FollowsRedirects) && got.status.is_redirection() => {
                self.inner.send(follow(got.headers[LOCATION].to_str().unwrap())).await
            }
            Ok(_) | Err(_) => response,
        }
    }
}

fn copy(request: &HttpRequest) -> HttpRequest {
    HttpRequest {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        authorization: request.authorization.as_ref().map(Secret::clone_secret),
        body: request.body.as_ref().map(Secret::clone_secret),
        max_body: request.max_body,
        share: request.share.clone(),
    }
}

#[async_trait]
impl HttpTransport for Flawed {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let request = self.changed(request);
        if self.is(Flaw::CallsAnyLoopbackPort)
            && let Some(port) = request.url.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split('/').next())
        {
            let policy = EgressPolicy::new(&[], &[format!("127.0.0.1:{port}")]).unwrap();
            return ReqwestTransport::new(policy, LIMITS).unwrap().send(request).await;
        }
        let mut response = self.exchange(request).await.map_err(|error| match (self.flaw, error) {
            (Flaw::ReportsEveryErrorAsNotSent, _) => TransportError::NotSent,
            (Flaw::ReportsNotSentAsCut, TransportError::NotSent) => TransportError::Cut,
            (_, error) => error,
        })?;
        if self.is(Flaw::ReturnsNoHeaders) {
            response.headers = HeaderMap::new();
        }
        if self.is(Flaw::ReturnsTextOnly) {
            *response.body = String::from_utf8_lossy(&response.body).into_owned().into_bytes();
        }
        if self.is(Flaw::KeepsCookies) {
            *self.cookie.lock().unwrap() = response.headers.get(SET_COOKIE).cloned();
        }
        if self.is(Flaw::KeepsTheEncoding) {
            response.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }

    async fn open(&self, request: StreamRequest) -> Result<StreamResponse, TransportError> {
        self.inner.open(request).await
    }
}

macro_rules! rejected {
    ($($rule:ident: $($flaw:ident),+;)*) => {
        $($(
            let flawed: TransportFactory = |policy| Flawed::with(policy, Flaw::$flaw);
            assert!(rejects(rules::$rule(flawed)).await, "{} with {}", stringify!($rule), stringify!($flaw));
        )+)*
    };
}

#[tokio::test]
async fn a_transport_that_changes_requests_or_responses_is_rejected() {
    rejected! {
        a_request_arrives_as_it_is: SendsNoBody, SendsNoAuthorization, SendsOneFieldOfAName;
        a_response_is_returned_as_it_is: ReturnsNoHeaders, ReturnsTextOnly;
        no_cookie_is_kept: KeepsCookies;
        a_compressed_body_is_decoded: RequestsCompression, KeepsTheEncoding;
    }
}

#[tokio::test]
async fn a_transport_that_sends_more_than_one_request_is_rejected() {
    rejected! {
        a_redirect_is_returned_and_not_followed: FollowsRedirects;
        a_request_is_not_repeated: RepeatsAfterACut, RepeatsAfterAStatus;
    }
}

#[tokio::test]
async fn a_transport_without_limits_or_with_other_errors_is_rejected() {
    rejected! {
        a_body_above_the_limit_is_too_large: ReadsLargeBodies, ReportsEveryErrorAsNotSent;
        a_url_outside_of_the_policy_is_not_allowed: CallsAnyLoopbackPort, ReportsEveryErrorAsNotSent;
        a_request_that_cannot_be_sent_is_not_sent: ReportsNotSentAsCut, DropsInvalidAuthorization;
        a_response_that_does_not_end_is_cut: NeverGivesUp, ReportsEveryErrorAsNotSent;
        a_share_leaves_room_for_others: IgnoresShares;
    }
}
