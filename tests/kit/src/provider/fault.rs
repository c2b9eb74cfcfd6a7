//! Faults: deviations of a provider, as data. [`super::intercept`] applies them.
//!
//! The handlers do not depend on them. A fault acts either on the *request* (the handler may not receive it) or on the
//! *response* (the handler has completed: tokens are rotated even if the client receives no response).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::gate::Gate;
use super::ledger::Call;

/// One fault of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request waits at the gate, then is processed even if the client has closed the connection.
    HoldRequest(Gate),
    /// The connection ends before the request is processed.
    DropRequest,
    /// The request is not processed; this response is returned.
    Instead(ScriptedResponse),
    /// The request is not processed; a response computed from it is returned.
    Computed(Compute),
    /// The request is processed, then the response waits at the gate.
    HoldResponse(Gate),
    /// The request is processed, then the response waits this long. For clients that the test does not control; a test
    /// uses [`Fault::HoldResponse`].
    DelayResponse(Duration),
    /// The request is processed, then the connection ends: tokens are rotated and the client receives no response.
    DropResponse,
    /// The request is processed, then this response replaces the handler's.
    Replace(ScriptedResponse),
    /// The request is processed, then the JSON response is changed.
    Edit(Edit),
    /// The request is processed, then the whole response is changed.
    Transform(Transform),
    /// The request is processed, then the query of the redirect is changed.
    EditRedirect(QueryEdit),
    /// The response ends after this many bytes of its body; `Content-Length` states the full length.
    CutBody(usize),
    /// The response pauses after `at` bytes of its body until the gate opens.
    StallBody {
        /// Number of bytes sent at once.
        at: usize,
        /// The gate at which the rest waits.
        gate: Gate,
    },
    /// A body without end.
    EndlessBody,
    /// All of these faults on one request, in this order within each phase.
    Several(Vec<Fault>),
}

/// Computes a response from the request.
#[derive(Clone)]
pub struct Compute(pub(super) Arc<dyn Fn(&Call) -> ScriptedResponse + Send + Sync>);

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compute(..)")
    }
}

/// Changes a complete response.
#[derive(Clone)]
pub struct Transform(pub(super) Arc<dyn Fn(ScriptedResponse) -> ScriptedResponse + Send + Sync>);

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transform(..)")
    }
}

/// A complete response, sent verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedResponse {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl ScriptedResponse {
    /// A response without a body.
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A JSON response.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status).header("content-type", "application/json").body(body.to_string())
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// A change of a JSON response.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Sets a member, or adds it.
    Set(String, Value),
    /// Removes a member.
    Remove(String),
    /// Appends a member, even if there is one with this name.
    Duplicate(String, Value),
    /// Nests the whole object in a member of a new object.
    Nest(String),
    /// Encodes the members as `application/x-www-form-urlencoded`.
    FormEncode,
}

/// A change of the query of a redirect.
#[derive(Clone, Debug)]
pub enum QueryEdit {
    /// Sets a parameter, or adds it.
    Set(String, String),
    /// Removes a parameter.
    Remove(String),
    /// Appends a parameter, even if there is one with this name.
    Append(String, String),
}

impl Fault {
    /// This status with an empty body instead of processing.
    pub const fn status(status: u16) -> Self {
        Self::Instead(ScriptedResponse::new(status))
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(retry_after_seconds: u32) -> Self {
        Self::Instead(ScriptedResponse::new(503).header("retry-after", retry_after_seconds.to_string()))
    }

    /// 429 with `Retry-After`.
    pub fn throttled(retry_after_seconds: u32) -> Self {
        Self::Instead(ScriptedResponse::new(429).header("retry-after", retry_after_seconds.to_string()))
    }

    /// 307. A client that follows it sends its secrets to another URL.
    pub fn redirect(location: &str) -> Self {
        Self::Instead(ScriptedResponse::new(307).header("location", location))
    }

    /// 400 with an OAuth error (401 for `invalid_client`).
    pub fn oauth_error(code: &str) -> Self {
        let status = if code == "invalid_client" { 401 } else { 400 };
        Self::Instead(ScriptedResponse::json(status, &json!({ "error": code })))
    }

    /// 200 with an OAuth error in its body.
    pub fn ok_with_error(code: &str) -> Self {
        Self::Instead(ScriptedResponse::json(200, &json!({ "error": code })))
    }

    /// A response computed from the request, instead of processing.
    pub fn computed(response: impl Fn(&Call) -> ScriptedResponse + Send + Sync + 'static) -> Self {
        Self::Computed(Compute(Arc::new(response)))
    }

    /// Processed, then the response as this function changes it.
    pub fn transform(change: impl Fn(ScriptedResponse) -> ScriptedResponse + Send + Sync + 'static) -> Self {
        Self::Transform(Transform(Arc::new(change)))
    }

    /// Processed, then 200 without a body.
    pub fn empty_body() -> Self {
        Self::Replace(ScriptedResponse::new(200).header("content-type", "application/json"))
    }

    /// Processed, then an HTML page with the content type of JSON.
    pub fn not_json() -> Self {
        Self::Replace(
            ScriptedResponse::new(200).header("content-type", "application/json").body("<!doctype html><p>Please wait"),
        )
    }

    /// Processed, then the JSON response with `bytes` more bytes.
    pub fn huge_body(bytes: usize) -> Self {
        Self::with("padding", json!("x".repeat(bytes)))
    }

    /// The JSON response with this member set: invalid `expires_in`, unknown `token_type`, another `scope` or `sub` …
    pub fn with(member: &str, value: Value) -> Self {
        Self::Edit(Edit::Set(member.to_owned(), value))
    }

    /// The JSON response without this member.
    pub fn without(member: &str) -> Self {
        Self::Edit(Edit::Remove(member.to_owned()))
    }

    /// The JSON response with this member twice, the second time with this value.
    pub fn duplicate(member: &str, value: Value) -> Self {
        Self::Edit(Edit::Duplicate(member.to_owned(), value))
    }

    /// The JSON response nested in one member.
    pub fn nested(member: &str) -> Self {
        Self::Edit(Edit::Nest(member.to_owned()))
    }

    /// The JSON response encoded as a form.
    pub const fn form_encoded() -> Self {
        Self::Edit(Edit::FormEncode)
    }

    /// Userinfo of an account that no user of the provider has.
    pub fn other_account() -> Self {
        let members =
            [("sub", "sub-other"), ("preferred_username", "other"), ("email", "other@example.test"), ("name", "Other")];
        Self::Several(members.into_iter().map(|(member, value)| Self::with(member, json!(value))).collect())
    }

    /// The redirect to the client with this `iss`.
    pub fn iss(value: &str) -> Self {
        Self::EditRedirect(QueryEdit::Set("iss".to_owned(), value.to_owned()))
    }

    /// The redirect to the client without `iss`.
    pub fn no_iss() -> Self {
        Self::EditRedirect(QueryEdit::Remove("iss".to_owned()))
    }

    /// The parts of a [`Fault::Several`] at any depth; otherwise the fault itself.
    pub(super) fn flatten(self) -> Vec<Self> {
        match self {
            Self::Several(parts) => parts.into_iter().flat_map(Self::flatten).collect(),
            single @ (Self::HoldRequest(_)
            | Self::DropRequest
            | Self::Instead(_)
            | Self::Computed(_)
            | Self::HoldResponse(_)
            | Self::DelayResponse(_)
            | Self::DropResponse
            | Self::Replace(_)
            | Self::Edit(_)
            | Self::Transform(_)
            | Self::EditRedirect(_)
            | Self::CutBody(_)
            | Self::StallBody { .. }
            | Self::EndlessBody) => vec![single],
        }
    }
}

/// A fault of every request of one kind, for as long as the provider runs.
#[derive(Clone, Debug)]
pub(super) struct PermanentFault {
    pub(super) endpoint: Endpoint,
    /// The grant type of a token request; absent for all of them.
    pub(super) grant_type: Option<&'static str>,
    pub(super) fault: Fault,
}

impl PermanentFault {
    fn acts_on(&self, call: &Call) -> bool {
        self.endpoint == call.endpoint && self.grant_type.is_none_or(|wanted| call.grant_type() == Some(wanted))
    }
}

/// The faults of the next requests, by endpoint, and the named faults of all requests.
#[derive(Debug, Default)]
pub struct Faults {
    due: Mutex<HashMap<Endpoint, Due>>,
    permanent: Vec<PermanentFault>,
}

#[derive(Debug, Default)]
struct Due {
    queue: VecDeque<Fault>,
    sticky: Option<Fault>,
}

impl Faults {
    /// No faults but these, which follow those of a single request.
    pub(super) fn new(permanent: Vec<PermanentFault>) -> Self {
        Self { permanent, ..Self::default() }
    }

    /// Applies the fault to the next request to `endpoint` that has no fault yet.
    pub fn once(&self, endpoint: Endpoint, fault: Fault) {
        self.with(|due| due.entry(endpoint).or_default().queue.push_back(fault));
    }

    /// Applies the fault to the next `count` requests to `endpoint`.
    pub fn times(&self, count: usize, endpoint: Endpoint, fault: &Fault) {
        self.with(|due| {
            due.entry(endpoint).or_default().queue.extend(std::iter::repeat_n(fault.clone(), count));
        });
    }

    /// Applies the fault to every request to `endpoint` once the queue is empty, until [`Faults::clear`].
    pub fn always(&self, endpoint: Endpoint, fault: Fault) {
        self.with(|due| due.entry(endpoint).or_default().sticky = Some(fault));
    }

    /// Removes all faults of `endpoint`, except the named ones of the builder.
    pub fn clear(&self, endpoint: Endpoint) {
        self.with(|due| due.remove(&endpoint));
    }

    /// The faults of the request that has just arrived.
    pub(super) fn next(&self, call: &Call) -> Vec<Fault> {
        let due = self.with(|due| {
            let due = due.get_mut(&call.endpoint)?;
            due.queue.pop_front().or_else(|| due.sticky.clone())
        });
        let permanent = self.permanent.iter().filter(|permanent| permanent.acts_on(call));
        due.into_iter().chain(permanent.map(|permanent| permanent.fault.clone())).flat_map(Fault::flatten).collect()
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Endpoint, Due>) -> T) -> T {
        act(&mut self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
