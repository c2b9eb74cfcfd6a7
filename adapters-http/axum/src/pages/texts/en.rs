//! English.

use super::{Texts, Words};

pub(super) static TEXTS: Texts = Texts {
    connect_title: "Connect {name}",
    connect_text: "You sign in at the provider and decide there whether to grant access to your account.",
    continue_to: "Continue to {host}",
    fact_connector: "Connector",
    fact_connection: "Connection",
    fact_space: "Space",
    fact_user: "User",
    fact_provider: "Provider",
    fact_permissions: "Permissions",
    default_permissions: "the provider's default",
    fact_receivers: "Hosts and what they receive",
    receives_log_in: "your log-in and consent",
    receives_metadata: "decides, when you connect, which hosts receive your log-in and the tokens",
    receives_code_and_tokens: "the authorization code and the tokens",
    receives_refresh: "the refresh token",
    receives_userinfo: "the access token, to read the name of your account",
    receives_revocation: "tokens that are revoked",
    receives_api: "the access token, when the connector is used",
    other_sites_heading: "Check the hosts.",
    other_sites_text: "You sign in at {host}. These hosts are not of that site: {hosts}. Continue only if you trust them with access to your account.",
    unapproved_heading: "Check the provider.",
    unapproved_text: "Its addresses were entered by an editor and are not approved by the operator of this server. Continue only if you trust {host}.",
    other_account: "The account that you use at the provider replaces the one that was last connected.",
    needs_javascript: "This page requires JavaScript.",
    sign_in: "Sign in",
    user_name: "User name",
    password: "Password",
    wrong_credentials: "User name or password is wrong.",
    connectors: "Connectors",
    sign_out: "Sign out",
    spaces: "Spaces",
    no_connectors: "There are no connectors in this space yet.",
    shared_connector: "Shared connector",
    tampered_connector: "Damaged and not used. An editor can delete it and create it again.",
    not_connected: "Not connected",
    connecting: "Connecting",
    is_connected: "Connected",
    must_connect_again: "Must be connected again",
    with_account: "{status} · {account}",
    connect: "Connect",
    reconnect: "Reconnect",
    disconnect: "Disconnect",
    connector_label: "Connector: {name}",
    not_granted: "Not granted:",
    try_again: "Try again",
    go_on: "Continue",
    show_connectors: "Show connectors",
    use_account: "Use {account}",
    replace_account: "Replace it with {account}",
    add_account: "Add {account} as another connection",
    mismatch_of_accounts: "You used {used} at the provider, but {connected} was last connected here. Nothing was changed.",
    already_connected_account: "You already connected {used} under another name. Nothing was changed.",
    close_tab: "Close this tab",
    closes_in_one: "This tab closes in 1 second.",
    closes_in: "This tab closes in {seconds} seconds.",
    may_close: "You can close this tab now.",
    opening_provider: "Opening the provider…",
    no_response: "The server did not respond. Try again.",
    request_failed: "The request failed.",
    connected: Words { heading: "Connected", text: "Your account is connected." },
    one_moment: Words {
        heading: "One moment", text: "This page continues by itself. If it does not, choose “Continue”."
    },
    awaiting: Words { heading: "Not finished yet", text: "This attempt is waiting for the provider's response." },
    cancelled: Words {
        heading: "Cancelled",
        text: "This attempt was cancelled or replaced by a newer one. It did not connect anything.",
    },
    access_denied: Words { heading: "Access was denied", text: "Nothing was connected or changed." },
    flow_expired: Words { heading: "This attempt has expired", text: "Nothing was connected. Start the connection again." },
    flow_already_used: Words {
        heading: "This attempt is already finished",
        text: "It was completed, cancelled or replaced. The list of connectors shows the current status.",
    },
    user_mismatch: Words {
        heading: "This attempt belongs to another user",
        text: "Another user started it. Nothing was connected. If you did not expect this page, close the tab.",
    },
    browser_mismatch: Words {
        heading: "Wrong browser",
        text: "This attempt was started in another browser, or its cookie has been removed. Nothing was connected. If you did not start it, close the tab.",
    },
    url_too_long: Words {
        heading: "The link is too long",
        text: "The link that led here is longer than the server accepts. Nothing was connected or changed. Inform your administrator.",
    },
    headers_too_large: Words {
        heading: "Too many cookies",
        text: "The browser sent more data about this site than the server accepts, usually cookies of other applications. \
               Nothing was changed. Delete the cookies of this site and try again.",
    },
    rate_limited: Words { heading: "Too many attempts", text: "Wait a moment, then reload this page." },
    not_signed_in: Words {
        heading: "Sign in, then reload this page",
        text: "Sign in in another tab, then return here and reload.",
    },
    not_found: Words { heading: "Not found", text: "This does not exist, or you have no access to it." },
    unavailable: Words {
        heading: "Temporarily unavailable",
        text: "A service did not respond. Try again in a few minutes.",
    },
    account_already_connected: Words {
        heading: "This account is already connected",
        text: "You already connected this account under another name. Nothing was changed.",
    },
    insufficient_scope: Words {
        heading: "Not all permissions were granted",
        text: "This connector requires permissions that the provider did not grant. Nothing was connected or changed. Try again \
               and allow all of them.",
    },
    account_mismatch: Words {
        heading: "A different account was used",
        text: "The account you used at the provider is not the one that was last connected, or the provider did not name \
               it. Nothing was changed.",
    },
    connector_changed: Words {
        heading: "The connector was changed",
        text: "Its settings changed during this attempt. Nothing was connected. Start the connection again.",
    },
    not_allowed: Words { heading: "Not allowed", text: "You do not have permission to do this. Nothing was changed." },
    user_deprovisioned: Words {
        heading: "Your access was removed",
        text: "An administrator removed your access to connectors. Nothing was connected. Ask an administrator to reinstate you.",
    },
    misconfigured: Words {
        heading: "The connector is not configured correctly",
        text: "Nothing was connected. Contact an editor of this connector.",
    },
    exchange_failed: Words {
        heading: "The connection was not completed",
        text: "No usable tokens were received from the provider. Nothing was connected. Editors find the reason in the details \
               of the connector.",
    },
    provider_error: Words {
        heading: "The provider did not grant access",
        text: "The provider returned an error. Nothing was connected.",
    },
    unexpected_response: Words {
        heading: "Unexpected response",
        text: "The response came from another provider than the one you were sent to. Nothing was connected.",
    },
    failed: Words { heading: "The request failed", text: "Nothing was connected or changed." },
};
