//! The middleware of every handler: writes the ledger and applies the faults.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::core::Core;
use super::endpoint::Endpoint;
use super::fault::{Answer, Edit, Fault, QueryEdit};
use super::gate::Gate;
use super::ledger::{Call, Subject};
use super::server::HangUp;

/// The largest request body that is read.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The middleware of one endpoint.
pub(super) async fn intercept(
    State((core, endpoint)): State<(Arc<Core>, Endpoint)>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let call = call(endpoint, &head, &body);
    let number = core.ledger.arrived(call.clone());
    let faults = core.faults.next(endpoint);

    let answer = match on_request(&faults, &call).await {
        Some(answer) => answer,
        None => next.run(Request::from_parts(head, Body::from(body))).await,
    };
    let subject = answer.extensions().get::<Subject>().cloned();
    let answer = on_answer(faults, answer).await;
    let hung_up = answer.extensions().get::<HangUp>().is_some();
    core.ledger.answered(number, (!hung_up).then(|| answer.status().as_u16()), subject);
    answer
}

fn call(endpoint: Endpoint, head: &http::request::Parts, body: &Bytes) -> Call {
    let pairs = |bytes: &[u8]| form_urlencoded::parse(bytes).into_owned().collect();
    let is_form =
        head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    Call {
        endpoint,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(|query| pairs(query.as_bytes())).unwrap_or_default(),
        form: if is_form { pairs(body) } else { Vec::new() },
        headers: head.headers.clone(),
        body: body.to_vec(),
        subject: None,
        status: None,
    }
}

/// Applies the faults that act before the handler. If there is a response, the handler is not called.
async fn on_request(faults: &[Fault], call: &Call) -> Option<Response> {
    for fault in faults {
        match fault {
            Fault::HoldRequest(gate) => gate.pass().await,
            Fault::DropRequest => return Some(HangUp::response()),
            Fault::Instead(answer) => return Some(said(answer.clone())),
            Fault::Computed(compute) => return Some(said((compute.0)(call))),
            Fault::HoldAnswer(_)
            | Fault::DropAnswer
            | Fault::Replace(_)
            | Fault::Edit(_)
            | Fault::EditRedirect(_)
            | Fault::CutBody(_)
            | Fault::StallBody { .. }
            | Fault::EndlessBody
            | Fault::Several(_) => {}
        }
    }
    None
}

/// Applies the faults that act on the response.
async fn on_answer(faults: Vec<Fault>, mut answer: Response) -> Response {
    for fault in faults {
        answer = match fault {
            Fault::HoldAnswer(gate) => {
                gate.pass().await;
                answer
            }
            Fault::DropAnswer => HangUp::response(),
            Fault::Replace(replacement) => said(replacement),
            Fault::Edit(edit) => edited(answer, edit).await,
            Fault::EditRedirect(edit) => redirected(answer, &edit),
            Fault::CutBody(at) => cut(answer, at).await,
            Fault::StallBody { at, gate } => stalled(answer, at, gate).await,
            Fault::EndlessBody => endless(answer),
            Fault::HoldRequest(_) | Fault::DropRequest | Fault::Instead(_) | Fault::Computed(_) | Fault::Several(_) => {
                answer
            }
        };
    }
    answer
}

fn said(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

async fn edited(answer: Response, edit: Edit) -> Response {
    let (mut head, body) = whole(answer).await;
    let Ok(Value::Object(mut members)) = serde_json::from_slice(&body) else {
        return Response::from_parts(head, Body::from(body));
    };
    let text = match edit {
        Edit::Set(member, value) => {
            members.insert(member, value);
            Value::Object(members).to_string()
        }
        Edit::Remove(member) => {
            members.remove(&member);
            Value::Object(members).to_string()
        }
        Edit::Duplicate(member, value) => {
            let text = Value::Object(members).to_string();
            let comma = if text == "{}" { "" } else { "," };
            format!("{}{comma}{}:{value}}}", &text[..text.len() - 1], Value::String(member))
        }
        Edit::Nest(member) => Value::Object([(member, Value::Object(members))].into_iter().collect()).to_string(),
        Edit::FormEncode => {
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            let plain = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(members.into_iter().map(|(name, value)| (name, plain(value))))
                .finish()
        }
    };
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text))
}

fn redirected(mut answer: Response, edit: &QueryEdit) -> Response {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(mut url) = location.and_then(|location| Url::parse(location).ok()) else {
        return answer;
    };
    let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    match edit {
        QueryEdit::Set(name, value) => {
            query.retain(|(known, _)| known != name);
            query.push((name.clone(), value.clone()));
        }
        QueryEdit::Remove(name) => query.retain(|(known, _)| known != name),
        QueryEdit::Append(name, value) => query.push((name.clone(), value.clone())),
    }
    url.query_pairs_mut().clear().extend_pairs(query);
    if let Ok(value) = HeaderValue::try_from(url.as_str()) {
        answer.headers_mut().insert(LOCATION, value);
    }
    answer
}

async fn cut(answer: Response, at: usize) -> Response {
    let (head, body) = whole(answer).await;
    let first = body.slice(..at.min(body.len()));
    let end = stream::once(async {
        // The pause lets the first bytes be sent; an immediate error would discard them.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    promised(head, body.len(), stream::iter([Ok(first)]).chain(end))
}

async fn stalled(answer: Response, at: usize, gate: Gate) -> Response {
    let (head, body) = whole(answer).await;
    let (first, rest) = (body.slice(..at.min(body.len())), body.slice(at.min(body.len())..));
    let rest = stream::once(async move {
        gate.pass().await;
        Ok(rest)
    });
    promised(head, body.len(), stream::iter([Ok(first)]).chain(rest))
}

fn endless(answer: Response) -> Response {
    let (mut head, _) = answer.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let blanks = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096])));
    Response::from_parts(head, Body::from_stream(blanks))
}

/// A streamed body with this `Content-Length`, which the stream need not reach.
fn promised(
    mut head: http::response::Parts,
    length: usize,
    body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Response {
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Response::from_parts(head, Body::from_stream(body))
}

/// The complete body. Responses of the handlers are in memory, so reading cannot fail; an error would give an empty body.
async fn whole(answer: Response) -> (http::response::Parts, Bytes) {
    let (head, body) = answer.into_parts();
    (head, to_bytes(body, usize::MAX).await.unwrap_or_default())
}
