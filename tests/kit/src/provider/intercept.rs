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
use super::fault::{Edit, Fault, QueryEdit, ScriptedResponse, Transform};
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
    let faults = core.faults.next(&call);

    let response = match on_request(&faults, &call).await {
        Some(response) => response,
        None => next.run(Request::from_parts(head, Body::from(body))).await,
    };
    let subject = response.extensions().get::<Subject>().cloned();
    let response = on_response(faults, response).await;
    let hung_up = response.extensions().get::<HangUp>().is_some();
    core.ledger.responded(number, (!hung_up).then(|| response.status().as_u16()), subject);
    response
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
            Fault::Instead(response) => return Some(to_response(response.clone())),
            Fault::Computed(compute) => return Some(to_response((compute.0)(call))),
            Fault::HoldResponse(_)
            | Fault::DelayResponse(_)
            | Fault::DropResponse
            | Fault::Replace(_)
            | Fault::Edit(_)
            | Fault::Transform(_)
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
async fn on_response(faults: Vec<Fault>, mut response: Response) -> Response {
    for fault in faults {
        response = match fault {
            Fault::HoldResponse(gate) => {
                gate.pass().await;
                response
            }
            Fault::DelayResponse(delay) => {
                tokio::time::sleep(delay).await;
                response
            }
            Fault::DropResponse => HangUp::response(),
            Fault::Replace(replacement) => to_response(replacement),
            Fault::Edit(edit) => edited(response, edit).await,
            Fault::Transform(Transform(change)) => to_response(change(scripted(response).await)),
            Fault::EditRedirect(edit) => redirected(response, &edit),
            Fault::CutBody(at) => cut(response, at).await,
            Fault::StallBody { at, gate } => stalled(response, at, gate).await,
            Fault::EndlessBody => endless(response),
            Fault::HoldRequest(_) | Fault::DropRequest | Fault::Instead(_) | Fault::Computed(_) | Fault::Several(_) => {
                response
            }
        };
    }
    response
}

fn to_response(scripted: ScriptedResponse) -> Response {
    let mut response = Response::new(Body::from(scripted.body));
    *response.status_mut() = StatusCode::from_u16(scripted.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in scripted.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The complete response as data. `Content-Length` is left out, because the body may change.
async fn scripted(response: Response) -> ScriptedResponse {
    let (head, body) = whole(response).await;
    let fields = head.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = fields.map(|(name, value)| (name.to_string(), text(value))).collect();
    ScriptedResponse { status: head.status.as_u16(), headers, body: body.to_vec() }
}

async fn edited(response: Response, edit: Edit) -> Response {
    let (mut head, body) = whole(response).await;
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

fn redirected(mut response: Response, edit: &QueryEdit) -> Response {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(mut url) = location.and_then(|location| Url::parse(location).ok()) else {
        return response;
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
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

async fn cut(response: Response, at: usize) -> Response {
    let (head, body) = whole(response).await;
    let first = body.slice(..at.min(body.len()));
    let end = stream::once(async {
        // The pause lets the first bytes be sent; an immediate error would discard them.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    promised(head, body.len(), stream::iter([Ok(first)]).chain(end))
}

async fn stalled(response: Response, at: usize, gate: Gate) -> Response {
    let (head, body) = whole(response).await;
    let (first, rest) = (body.slice(..at.min(body.len())), body.slice(at.min(body.len())..));
    let rest = stream::once(async move {
        gate.pass().await;
        Ok(rest)
    });
    promised(head, body.len(), stream::iter([Ok(first)]).chain(rest))
}

fn endless(response: Response) -> Response {
    let (mut head, _) = response.into_parts();
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
async fn whole(response: Response) -> (http::response::Parts, Bytes) {
    let (head, body) = response.into_parts();
    (head, to_bytes(body, usize::MAX).await.unwrap_or_default())
}
