//! German.

use super::{Texts, Words};

pub(super) static TEXTS: Texts = Texts {
    connect_title: "{name} verbinden",
    connect_text: "Sie melden sich beim Anbieter an und entscheiden dort, ob Sie Zugriff auf Ihr Konto gewähren.",
    continue_to: "Weiter zu {host}",
    fact_connector: "Konnektor",
    fact_connection: "Verbindung",
    fact_space: "Bereich",
    fact_user: "Benutzer",
    fact_provider: "Anbieter",
    fact_permissions: "Berechtigungen",
    default_permissions: "die Vorgabe des Anbieters",
    fact_receivers: "Hosts und was sie erhalten",
    receives_log_in: "Ihre Anmeldung und Zustimmung",
    receives_metadata: "bestimmt beim Verbinden, welche Hosts Ihre Anmeldung und die Tokens erhalten",
    receives_code_and_tokens: "den Autorisierungscode und die Tokens",
    receives_userinfo: "das Zugriffstoken, um den Namen Ihres Kontos zu lesen",
    receives_revocation: "Tokens, die widerrufen werden",
    receives_api: "das Zugriffstoken, wenn der Konnektor verwendet wird",
    other_sites_heading: "Prüfen Sie die Hosts.",
    other_sites_text: "Sie melden sich bei {host} an. Diese Hosts gehören nicht zu dieser Website: {hosts}. Fahren Sie nur fort, wenn Sie ihnen den Zugriff auf Ihr Konto anvertrauen.",
    unapproved_heading: "Prüfen Sie den Anbieter.",
    unapproved_text: "Seine Adressen hat ein Bearbeiter eingetragen; der Betreiber dieses Servers hat sie nicht geprüft. Fahren Sie nur fort, wenn Sie {host} vertrauen.",
    other_account: "Das Konto, das Sie beim Anbieter verwenden, ersetzt das zuletzt verbundene.",
    needs_javascript: "Diese Seite braucht JavaScript.",
    sign_in: "Anmelden",
    user_name: "Benutzername",
    password: "Passwort",
    wrong_credentials: "Benutzername oder Passwort ist falsch.",
    connectors: "Konnektoren",
    sign_out: "Abmelden",
    spaces: "Bereiche",
    no_connectors: "In diesem Bereich gibt es noch keine Konnektoren.",
    shared_connector: "Gemeinsamer Konnektor",
    tampered_connector: "Beschädigt und nicht verwendet. Ein Bearbeiter kann ihn löschen und neu anlegen.",
    not_connected: "Nicht verbunden",
    connecting: "Wird verbunden",
    is_connected: "Verbunden",
    must_connect_again: "Muss neu verbunden werden",
    with_account: "{status} · {account}",
    connect: "Verbinden",
    reconnect: "Neu verbinden",
    disconnect: "Trennen",
    connector_label: "Konnektor: {name}",
    not_granted: "Nicht erteilt:",
    try_again: "Erneut versuchen",
    show_connectors: "Konnektoren anzeigen",
    use_account: "{account} verwenden",
    replace_account: "Durch {account} ersetzen",
    add_account: "{account} als weitere Verbindung hinzufügen",
    mismatch_of_accounts: "Sie haben beim Anbieter {used} verwendet, zuletzt war hier aber {connected} verbunden. Nichts wurde geändert.",
    already_connected_account: "Sie haben {used} schon unter einem anderen Namen verbunden. Nichts wurde geändert.",
    close_tab: "Diesen Tab schließen",
    closes_in_one: "Dieser Tab schließt sich in 1 Sekunde.",
    closes_in: "Dieser Tab schließt sich in {seconds} Sekunden.",
    may_close: "Sie können diesen Tab jetzt schließen.",
    opening_provider: "Der Anbieter wird geöffnet …",
    no_response: "Der Server hat nicht geantwortet. Versuchen Sie es erneut.",
    request_failed: "Die Anfrage ist fehlgeschlagen.",
    connected: Words { heading: "Verbunden", text: "Ihr Konto ist verbunden." },
    awaiting: Words { heading: "Noch nicht abgeschlossen", text: "Dieser Versuch wartet auf die Antwort des Anbieters." },
    cancelled: Words {
        heading: "Abgebrochen",
        text: "Dieser Versuch wurde abgebrochen oder durch einen neueren ersetzt. Er hat nichts verbunden.",
    },
    access_denied: Words { heading: "Der Zugriff wurde verweigert", text: "Nichts wurde verbunden oder geändert." },
    flow_expired: Words {
        heading: "Dieser Versuch ist abgelaufen",
        text: "Nichts wurde verbunden. Starten Sie die Verbindung neu.",
    },
    flow_already_used: Words {
        heading: "Dieser Versuch ist schon beendet",
        text: "Er wurde abgeschlossen, abgebrochen oder ersetzt. Die Liste der Konnektoren zeigt den aktuellen Stand.",
    },
    user_mismatch: Words {
        heading: "Dieser Versuch gehört einem anderen Benutzer",
        text: "Ein anderer Benutzer hat ihn gestartet. Nichts wurde verbunden. Wenn Sie diese Seite nicht erwartet haben, schließen Sie den Tab.",
    },
    browser_mismatch: Words {
        heading: "Falscher Browser",
        text: "Dieser Versuch wurde in einem anderen Browser gestartet, oder sein Cookie wurde entfernt. Nichts wurde verbunden. Wenn Sie ihn nicht gestartet haben, schließen Sie den Tab.",
    },
    url_too_long: Words {
        heading: "Der Link ist zu lang",
        text: "Der Link hierher ist länger, als der Server annimmt. Nichts wurde verbunden oder geändert. Informieren Sie Ihren Administrator.",
    },
    headers_too_large: Words {
        heading: "Zu viele Cookies",
        text: "Der Browser hat mehr Daten zu dieser Website gesendet, als der Server annimmt, meist Cookies anderer Anwendungen. \
               Es wurde nichts geändert. Löschen Sie die Cookies dieser Website und versuchen Sie es erneut.",
    },
    rate_limited: Words {
        heading: "Zu viele Versuche",
        text: "Warten Sie einen Moment und laden Sie dann diese Seite neu.",
    },
    not_signed_in: Words {
        heading: "Melden Sie sich an und laden Sie diese Seite neu",
        text: "Melden Sie sich in einem anderen Tab an, kehren Sie dann hierher zurück und laden Sie neu.",
    },
    not_found: Words { heading: "Nicht gefunden", text: "Das gibt es nicht, oder Sie haben keinen Zugriff darauf." },
    unavailable: Words {
        heading: "Vorübergehend nicht verfügbar",
        text: "Ein Dienst hat nicht geantwortet. Versuchen Sie es in einigen Minuten erneut.",
    },
    account_already_connected: Words {
        heading: "Dieses Konto ist schon verbunden",
        text: "Sie haben dieses Konto schon unter einem anderen Namen verbunden. Nichts wurde geändert.",
    },
    insufficient_scope: Words {
        heading: "Es wurden nicht alle Berechtigungen erteilt",
        text: "Dieser Konnektor braucht Berechtigungen, die der Anbieter nicht erteilt hat. Es wurde nichts verbunden oder \
               geändert. Versuchen Sie es erneut und erlauben Sie alle.",
    },
    account_mismatch: Words {
        heading: "Ein anderes Konto wurde verwendet",
        text: "Das Konto, das Sie beim Anbieter verwendet haben, ist nicht das zuletzt verbundene, oder der Anbieter hat es \
               nicht genannt. Nichts wurde geändert.",
    },
    connector_changed: Words {
        heading: "Der Konnektor wurde geändert",
        text: "Seine Einstellungen haben sich während dieses Versuchs geändert. Nichts wurde verbunden. Starten Sie die Verbindung neu.",
    },
    not_allowed: Words { heading: "Nicht erlaubt", text: "Sie haben dafür keine Berechtigung. Nichts wurde geändert." },
    user_deprovisioned: Words {
        heading: "Ihr Zugriff wurde entfernt",
        text: "Ein Administrator hat Ihren Zugriff auf Konnektoren entfernt. Nichts wurde verbunden. Bitten Sie einen Administrator, Sie wieder zuzulassen.",
    },
    misconfigured: Words {
        heading: "Der Konnektor ist nicht richtig eingerichtet",
        text: "Nichts wurde verbunden. Wenden Sie sich an einen Bearbeiter dieses Konnektors.",
    },
    exchange_failed: Words {
        heading: "Die Verbindung kam nicht zustande",
        text: "Vom Anbieter kamen keine verwendbaren Tokens an. Es wurde nichts verbunden. Bearbeiter finden den Grund in den \
               Einzelheiten des Konnektors.",
    },
    provider_error: Words {
        heading: "Der Anbieter hat keinen Zugriff gewährt",
        text: "Der Anbieter hat einen Fehler gemeldet. Nichts wurde verbunden.",
    },
    unexpected_response: Words {
        heading: "Unerwartete Antwort",
        text: "Die Antwort kam von einem anderen Anbieter als dem, zu dem Sie geleitet wurden. Nichts wurde verbunden.",
    },
    failed: Words { heading: "Die Anfrage ist fehlgeschlagen", text: "Nichts wurde verbunden oder geändert." },
};
