//! Faults: what a provider does wrong, as data. [`super::intercept`] carries them out.
//!
//! The honest handlers know nothing of them. A fault either acts on the *request* (the handler may never see it) or on
//! the *answer* (the handler has done its work: tokens are rotated, whatever the client hears).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::gate::Gate;
use super::ledger::Call;

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request waits at the gate, then is processed, even if the client has given up meanwhile.
    HoldRequest(Gate),
    /// The connection ends before the request is processed.
    DropRequest,
    /// This answer comes instead of processing.
    Instead(Answer),
    /// The same, made from the request.
    Computed(Compute),
    /// The request is processed, the answer waits at the gate.
    HoldAnswer(Gate),
    /// The request is processed, then the connection ends: the server rotates and the client never hears.
    DropAnswer,
    /// The request is processed, this answer replaces the true one.
    Replace(Answer),
    /// The true JSON answer, changed.
    Edit(Edit),
    /// The true redirect, its query changed.
    EditRedirect(QueryEdit),
    /// The true answer ends after that many bytes of its body, while `Content-Length` promised all.
    CutBody(usize),
    /// The true answer stops after `at` bytes of its body until the gate opens.
    StallBody {
        /// Bytes that come at once.
        at: usize,
        /// What holds the rest.
        gate: Gate,
    },
    /// A body without end.
    EndlessBody,
    /// All of these on the same request, in this order within each phase.
    Several(Vec<Fault>),
}

/// Makes an answer from the request.
#[derive(Clone)]
pub struct Compute(pub(super) Arc<dyn Fn(&Call) -> Answer + Send + Sync>);

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compute(..)")
    }
}

/// A complete answer, said verbatim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An empty answer.
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A JSON answer.
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

/// A change of a JSON answer.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Sets a member, or adds it.
    Set(String, Value),
    /// Removes a member.
    Remove(String),
    /// Appends a member that may be there already.
    Duplicate(String, Value),
    /// Puts the whole object below one member of a new one.
    Nest(String),
    /// Says the same as `application/x-www-form-urlencoded`.
    FormEncode,
}

/// A change of the query of a redirect.
#[derive(Clone, Debug)]
pub enum QueryEdit {
    /// Sets a parameter, or adds it.
    Set(String, String),
    /// Removes a parameter.
    Remove(String),
    /// Appends a parameter that may be there already.
    Append(String, String),
}

impl Fault {
    /// This status with an empty body instead of processing.
    pub const fn status(status: u16) -> Self {
        Self::Instead(Answer::new(status))
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(retry_after_seconds: u32) -> Self {
        Self::Instead(Answer::new(503).header("retry-after", retry_after_seconds.to_string()))
    }

    /// 429 with `Retry-After`.
    pub fn throttled(retry_after_seconds: u32) -> Self {
        Self::Instead(Answer::new(429).header("retry-after", retry_after_seconds.to_string()))
    }

    /// 307, which makes careless clients send secrets again, elsewhere.
    pub fn redirect(location: &str) -> Self {
        Self::Instead(Answer::new(307).header("location", location))
    }

    /// 400 with an OAuth error (401 for `invalid_client`).
    pub fn oauth_error(code: &str) -> Self {
        let status = if code == "invalid_client" { 401 } else { 400 };
        Self::Instead(Answer::json(status, &json!({ "error": code })))
    }

    /// 200 with an OAuth error in its body.
    pub fn ok_with_error(code: &str) -> Self {
        Self::Instead(Answer::json(200, &json!({ "error": code })))
    }

    /// An answer made from the request.
    pub fn computed(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self::Computed(Compute(Arc::new(answer)))
    }

    /// Processed, but 200 without a body.
    pub fn empty_body() -> Self {
        Self::Replace(Answer::new(200).header("content-type", "application/json"))
    }

    /// Processed, but a page of HTML that calls itself JSON.
    pub fn not_json() -> Self {
        Self::Replace(Answer::new(200).header("content-type", "application/json").body("<!doctype html><p>Please wait"))
    }

    /// The true answer, grown by `bytes`.
    pub fn huge_body(bytes: usize) -> Self {
        Self::with("padding", json!("x".repeat(bytes)))
    }

    /// The true JSON answer with this member set: odd `expires_in`, unknown `token_type`, other `scope` or `sub` …
    pub fn with(member: &str, value: Value) -> Self {
        Self::Edit(Edit::Set(member.to_owned(), value))
    }

    /// The true JSON answer without this member.
    pub fn without(member: &str) -> Self {
        Self::Edit(Edit::Remove(member.to_owned()))
    }

    /// The true JSON answer with this member twice, the second time with this value.
    pub fn duplicate(member: &str, value: Value) -> Self {
        Self::Edit(Edit::Duplicate(member.to_owned(), value))
    }

    /// The true JSON answer below one member.
    pub fn nested(member: &str) -> Self {
        Self::Edit(Edit::Nest(member.to_owned()))
    }

    /// The true answer as a form.
    pub const fn form_encoded() -> Self {
        Self::Edit(Edit::FormEncode)
    }

    /// The way back to the client with this `iss`.
    pub fn iss(value: &str) -> Self {
        Self::EditRedirect(QueryEdit::Set("iss".to_owned(), value.to_owned()))
    }

    /// The way back to the client without `iss`.
    pub fn no_iss() -> Self {
        Self::EditRedirect(QueryEdit::Remove("iss".to_owned()))
    }

    /// The parts of a [`Fault::Several`], however deep; itself otherwise.
    pub(super) fn flatten(self) -> Vec<Self> {
        match self {
            Self::Several(parts) => parts.into_iter().flat_map(Self::flatten).collect(),
            single @ (Self::HoldRequest(_)
            | Self::DropRequest
            | Self::Instead(_)
            | Self::Computed(_)
            | Self::HoldAnswer(_)
            | Self::DropAnswer
            | Self::Replace(_)
            | Self::Edit(_)
            | Self::EditRedirect(_)
            | Self::CutBody(_)
            | Self::StallBody { .. }
            | Self::EndlessBody) => vec![single],
        }
    }
}

/// The faults that are due, by endpoint.
#[derive(Debug, Default)]
pub struct Faults {
    due: Mutex<HashMap<Endpoint, Due>>,
}

#[derive(Debug, Default)]
struct Due {
    queue: VecDeque<Fault>,
    sticky: Option<Fault>,
}

impl Faults {
    /// The next request to `endpoint` that has no fault yet meets this one.
    pub fn once(&self, endpoint: Endpoint, fault: Fault) {
        self.with(|due| due.entry(endpoint).or_default().queue.push_back(fault));
    }

    /// The next `count` requests to `endpoint` meet it.
    pub fn times(&self, count: usize, endpoint: Endpoint, fault: &Fault) {
        self.with(|due| {
            due.entry(endpoint).or_default().queue.extend(std::iter::repeat_n(fault.clone(), count));
        });
    }

    /// Every request to `endpoint` meets it once the queue is empty, until [`Faults::clear`].
    pub fn always(&self, endpoint: Endpoint, fault: Fault) {
        self.with(|due| due.entry(endpoint).or_default().sticky = Some(fault));
    }

    /// Takes back every fault of `endpoint`.
    pub fn clear(&self, endpoint: Endpoint) {
        self.with(|due| due.remove(&endpoint));
    }

    /// What the request that has just arrived meets.
    pub(super) fn next(&self, endpoint: Endpoint) -> Vec<Fault> {
        self.with(|due| {
            let due = due.get_mut(&endpoint)?;
            due.queue.pop_front().or_else(|| due.sticky.clone())
        })
        .map(Fault::flatten)
        .unwrap_or_default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Endpoint, Due>) -> T) -> T {
        act(&mut self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
