//! The mock provider, as a team runs it beside a product in another language.

use std::net::TcpListener;

use grantry_test_ports::reserve;
use grantry_testkit::provider::{ScriptedUser, fault_catalogue};
use rustix::process::Signal;
use serde_json::Value;
use url::Url;

use crate::support::{Browser, Response, Running, grantry, run};

const REDIRECT: &str = "http://127.0.0.1:9/callback";
/// The example of RFC 7636, Appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A running mock provider and a client of it.
struct Provider {
    running: Running,
    port: u16,
    ready: Value,
}

impl Provider {
    fn start(more: &[&str]) -> Self {
        let mut args = vec!["mock-provider", "--listen", "127.0.0.1:0", "--json", "--redirect-uri", REDIRECT];
        args.extend(more);
        let mut running = Running::start(&mut grantry(&args));
        let line = running.until("\"issuer\"");
        let ready: Value = serde_json::from_str(&line).unwrap();
        let port = Url::parse(ready["issuer"].as_str().unwrap()).unwrap().port().unwrap();
        Self { running, port, ready }
    }

    /// The path of an endpoint that the provider has printed.
    fn path(&self, endpoint: &str) -> String {
        Url::parse(self.ready[endpoint].as_str().unwrap()).unwrap().path().to_owned()
    }

    fn authorization_url(&self) -> Url {
        let params = [
            ("response_type", "code"),
            ("client_id", self.ready["client_id"].as_str().unwrap()),
            ("redirect_uri", REDIRECT),
            ("scope", "openid files.read"),
            ("state", "a-state"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        Url::parse_with_params(self.ready["authorization_endpoint"].as_str().unwrap(), params).unwrap()
    }

    /// The parameters of the redirect after alice has allowed access.
    async fn callback(&self) -> Vec<(String, String)> {
        let alice = &self.ready["users"][0];
        let user = ScriptedUser::new(alice["username"].as_str().unwrap(), alice["password"].as_str().unwrap());
        let callback = user.approve(self.authorization_url().as_str()).await.unwrap();
        assert!(callback.as_str().starts_with(REDIRECT), "{callback}");
        callback.query_pairs().into_owned().collect()
    }

    fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Response {
        let mut form = form.to_vec();
        form.push(("client_id", self.ready["client_id"].as_str().unwrap()));
        form.extend(self.ready["client_secret"].as_str().map(|secret| ("client_secret", secret)));
        Browser::new(self.port).post_form(&self.path(endpoint), &form)
    }

    async fn exchange(&self) -> Response {
        let callback = self.callback().await;
        let code = param(&callback, "code").unwrap();
        self.post(
            "token_endpoint",
            &[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT), ("code_verifier", VERIFIER)],
        )
    }

    fn refresh(&self, tokens: &Value) -> Response {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.post("token_endpoint", &[("grant_type", "refresh_token"), ("refresh_token", token)])
    }

    fn userinfo(&self, tokens: &Value) -> Response {
        let mut browser = Browser::new(self.port);
        browser.key = Some(tokens["access_token"].as_str().unwrap().to_owned());
        browser.get(&self.path("userinfo_endpoint"))
    }
}

fn param<'c>(callback: &'c [(String, String)], name: &str) -> Option<&'c str> {
    callback.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_flow_with_pkce_works_and_a_signal_stops_the_provider() {
    for signal in [Signal::TERM, Signal::INT] {
        let provider = Provider::start(&["--client-id", "shop", "--client-secret", "s3cret", "--access-ttl", "60"]);
        let callback = provider.callback().await;
        assert_eq!(param(&callback, "state"), Some("a-state"));
        assert_eq!(param(&callback, "iss"), provider.ready["issuer"].as_str());

        let tokens = provider.exchange().await.json();
        assert_eq!(tokens["expires_in"], 60);
        assert_eq!(provider.userinfo(&tokens).json()["email"], "alice@example.test");
        let refreshed = provider.refresh(&tokens).json();
        assert_ne!(refreshed["refresh_token"], tokens["refresh_token"]);
        let revoked = provider.post("revocation_endpoint", &[("token", refreshed["refresh_token"].as_str().unwrap())]);
        assert_eq!(revoked.status, 200);
        assert_eq!(provider.userinfo(&refreshed).status, 401);
        assert_eq!(provider.running.stop(signal).0, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_verifier_and_a_wrong_secret_are_refused() {
    let provider = Provider::start(&[]);
    let callback = provider.callback().await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", param(&callback, "code").unwrap()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", CHALLENGE),
    ];
    let refused = provider.post("token_endpoint", &form);
    assert_eq!((refused.status, &refused.json()["error"]), (400, &"invalid_grant".into()));
    let form = [("grant_type", "client_credentials"), ("client_id", "mock-client"), ("client_secret", "wrong")];
    let refused = Browser::new(provider.port).post_form("/token", &form);
    assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_client".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_needs_no_secret() {
    let provider = Provider::start(&["--public-client"]);
    assert_eq!(provider.ready.get("client_secret"), None);
    let tokens = provider.exchange().await.json();
    assert_eq!(provider.refresh(&tokens).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_refresh_leave_the_code_flow_alone() {
    let provider = Provider::start(&["--faults", "unavailable=2@refresh"]);
    assert_eq!(provider.ready["faults"][0], "unavailable=2@refresh");
    let tokens = provider.exchange().await.json();
    let refused = provider.refresh(&tokens);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));

    let provider = Provider::start(&["--faults", "evicted-client"]);
    let tokens = provider.exchange().await.json();
    let refused = provider.refresh(&tokens);
    assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_client".into()));
    assert_eq!(provider.userinfo(&tokens).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_responses_are_combined() {
    let provider = Provider::start(&["--faults", "form-encoded@code,no-expiry", "--faults", "other-account"]);
    let encoded = provider.exchange().await;
    assert_eq!(encoded.header("content-type"), Some("application/x-www-form-urlencoded"));
    let members: Vec<&str> = encoded.body.split('&').map(|pair| pair.split('=').next().unwrap()).collect();
    assert!(members.contains(&"access_token") && !members.contains(&"expires_in"), "{members:?}");
    let token = encoded.body.split('&').find_map(|pair| pair.strip_prefix("access_token=")).unwrap();
    let described = provider.userinfo(&serde_json::json!({ "access_token": token })).json();
    assert_eq!(described["sub"], "sub-other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_response_is_shorter_than_it_announces() {
    let provider = Provider::start(&["--faults", "cut=10"]);
    let cut = provider.exchange().await;
    assert_eq!((cut.status, cut.body.len()), (200, 10));
    assert!(cut.header("content-length").unwrap().parse::<usize>().unwrap() > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_authorization_response_reach_the_client() {
    let provider = Provider::start(&["--faults", "wrong-iss,no-state"]);
    let callback = provider.callback().await;
    assert_eq!((param(&callback, "iss"), param(&callback, "state")), (Some("https://other.example"), None));
    let provider = Provider::start(&["--faults", "pkce-refused"]);
    assert_eq!(param(&provider.callback().await, "error"), Some("invalid_request"));
}

#[test]
fn plain_output_has_a_line_for_each_url_and_ends_with_ready() {
    let args = ["mock-provider", "--listen", "127.0.0.1:0", "--redirect-uri", REDIRECT, "--faults", "grace"];
    let mut running = Running::start(&mut grantry(&args));
    running.until("ready");
    let (code, lines) = running.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    let value = |name: &str| {
        let line = lines.iter().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("{name}: {lines:?}"))[name.len()..].trim_start().to_owned()
    };
    let issuer = value("issuer");
    assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer}");
    for (name, path) in
        [("authorization", "/authorize"), ("token", "/token"), ("revocation", "/revoke"), ("userinfo", "/userinfo")]
    {
        assert_eq!(value(name), format!("{issuer}{path}"));
    }
    assert_eq!(value("client"), "mock-client mock-secret");
    assert_eq!(value("redirect-uri"), REDIRECT);
    assert_eq!(value("user"), "alice alice-pw");
    assert_eq!(value("fault"), "grace=30");
}

#[test]
fn the_faults_are_listed_with_their_values() {
    let listed = run(&mut grantry(&["mock-provider", "--list-faults"]), "");
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    let json = run(&mut grantry(&["mock-provider", "--list-faults", "--json"]), "");
    let rows: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), fault_catalogue().len());
    for (row, entry) in rows.as_array().unwrap().iter().zip(fault_catalogue()) {
        assert_eq!((&row["name"], &row["about"]), (&entry.name.into(), &entry.about.into()));
        let line = listed.stdout.lines().find(|line| line.ends_with(entry.about)).unwrap();
        assert!(line.starts_with(entry.name), "{line}");
    }
    assert!(listed.stdout.contains("cut[=VALUE][@PLACE] "), "{}", listed.stdout);
    assert!(listed.stdout.contains("VALUE: bytes of the body, by default 10"), "{}", listed.stdout);
}

#[test]
fn a_refusal_names_the_option_and_what_it_accepts() {
    let redirect = ["--redirect-uri", REDIRECT];
    for (args, option, accepted) in [
        (
            vec!["--faults", "grace,gzipp"],
            "'--faults <NAME[=VALUE][@PLACE]>'",
            "`gzipp` is not a fault; the faults are rotation",
        ),
        (
            vec!["--faults", "cut=x"],
            "'--faults <NAME[=VALUE][@PLACE]>'",
            "a whole number from 0 to 67108864: bytes of the body",
        ),
        (vec!["--faults", "cut@here"], "'--faults <NAME[=VALUE][@PLACE]>'", "the places are token, code, refresh"),
        (vec!["--listen", "0.0.0.0:80"], "'--listen <ADDRESS:PORT>'", "a loopback address with a port"),
        (vec!["--listen", "8081"], "'--listen <ADDRESS:PORT>'", "such as 127.0.0.1:8081 or [::1]:0"),
        (vec!["--redirect-uri", "/callback"], "'--redirect-uri <URL>'", "an absolute URL without a fragment"),
        (vec!["--redirect-uri", "http://a.test/#b"], "'--redirect-uri <URL>'", "an absolute URL without a fragment"),
        (vec!["--client-id", ""], "'--client-id <ID>'", "must not be empty"),
        (vec!["--access-ttl", "0"], "'--access-ttl <SECONDS>'", "1..=86400"),
        (vec!["--public-client", "--client-secret", "s"], "'--public-client'", "'--client-secret <SECRET>'"),
    ] {
        let command: Vec<&str> = ["mock-provider"].into_iter().chain(redirect).chain(args.iter().copied()).collect();
        let refused = run(&mut grantry(&command), "");
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(refused.stderr.contains(option) && refused.stderr.contains(accepted), "{args:?}: {}", refused.stderr);
    }
    let refused = run(&mut grantry(&["mock-provider"]), "");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--redirect-uri <URL>"), "{}", refused.stderr);
}

#[test]
fn a_port_in_use_is_reported_with_the_option() {
    let port = reserve();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let listen = format!("127.0.0.1:{port}");
    let refused = run(&mut grantry(&["mock-provider", "--listen", &listen, "--redirect-uri", REDIRECT]), "");
    drop(taken);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    let expected = format!(
        "grantry: {listen} is already in use; stop the process that listens there, or choose another port with --listen\n"
    );
    assert_eq!(refused.stderr, expected);
}
