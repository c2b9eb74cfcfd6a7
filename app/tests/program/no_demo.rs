//! The production build: it serves, and refuses the demo.

use rustix::process::Signal;

use crate::support::{Browser, Site, grantry, run};

#[test]
fn a_build_without_the_demo_serves_and_refuses_the_demo() {
    let site = Site::new("");
    let server = site.serve();
    assert_eq!(Browser::new(site.port).get("/readyz").status, 200);
    assert_eq!(server.stop(Signal::TERM).0, Some(0));

    for command in [&["demo", "--fresh", "--port", "8080"][..], &["mock-provider", "--listen", "127.0.0.1:0"]] {
        let refused = run(&mut grantry(command), "");
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
        let expected =
            "grantry: this build contains no demo and no mock provider; use a build with the cargo feature `demo`\n";
        assert_eq!(refused.stderr, expected);
        assert!(!run(&mut grantry(&["--help"]), "").stdout.contains(command[0]), "the command is not offered");
    }
}
