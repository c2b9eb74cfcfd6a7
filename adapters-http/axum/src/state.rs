//! The state of every handler.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use grantry_domain::ports::SecureRandom;
use tokio::sync::Semaphore;

use crate::cookies::CookieNames;
use crate::correlation::CorrelationIds;
use crate::host::Api;
use crate::page_assets::PageAssets;
use crate::public_url::PublicBaseUrl;
use crate::request_metrics::RequestMetrics;
use crate::unknown_bodies::UnknownBodies;
use crate::user_limit::UserLimit;

/// The parts of the host and the values derived from them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    /// The parts of the host.
    pub(crate) api: Api,
    /// Names and attributes of cookies.
    pub(crate) cookies: CookieNames,
    /// Scripts and style sheet of the pages.
    pub(crate) pages: PageAssets,
    /// Allowed values of `Host`, lower case.
    pub(crate) hosts: Vec<String>,
    /// The bodies of each user that are in memory.
    pub(crate) memory: UserLimit,
    /// The bodies of callers who are not known yet.
    pub(crate) unknown_bodies: UnknownBodies,
    /// The runs of each user.
    pub(crate) runs: UserLimit,
    /// Places for parsing large bodies.
    pub(crate) parsers: Arc<Semaphore>,
    /// Source of correlation ids.
    pub(crate) correlation: CorrelationIds,
    /// Metrics of requests.
    pub(crate) metrics: RequestMetrics,
    /// The `OpenAPI` document, made when it is first requested. The router supplies it, because the document depends on the
    /// routes and the routes on this state.
    pub(crate) openapi: LazyLock<Bytes, Box<dyn FnOnce() -> Bytes + Send>>,
}

impl App {
    pub(crate) fn new(api: Api, random: &dyn SecureRandom, openapi: fn(&CookieNames) -> Bytes) -> Self {
        let mut hosts = vec![host_of(&api.public)];
        hosts.extend(api.additional_hosts.iter().map(|host| host.to_ascii_lowercase()));
        let cookies = CookieNames::of(&api.public);
        let described = cookies.clone();
        Self(Arc::new(Inner {
            cookies,
            pages: PageAssets::new(&api.public),
            hosts,
            memory: UserLimit::of_memory(),
            unknown_bodies: UnknownBodies::default(),
            runs: UserLimit::of_runs(),
            parsers: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))),
            correlation: CorrelationIds::new(random),
            metrics: RequestMetrics::default(),
            openapi: LazyLock::new(Box::new(move || openapi(&described))),
            api,
        }))
    }
}

/// The `Host` of a public base URL, without the default port of the scheme.
fn host_of(public: &PublicBaseUrl) -> String {
    let authority = public.origin().split_once("://").map_or("", |(_, authority)| authority).to_ascii_lowercase();
    let default_port = if public.is_https() { ":443" } else { ":80" };
    authority.strip_suffix(default_port).map_or(authority.clone(), str::to_owned)
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}
