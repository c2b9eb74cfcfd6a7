import { type Connection, type Connector, type TriedConnection, tryConnection } from "@grantry/client";
import { useMutation } from "@tanstack/react-query";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { Facts } from "../../ui/facts.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Notice } from "../../ui/notice.tsx";

/** Sends one request to the API with a connection of the user, and shows what the service responded. */
export function TryConnection({ connector, connection }: { connector: Connector; connection: Connection }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: () => tryConnection(connector.id, { ...call, connection: connection.name }),
  });
  return (
    <div className="test">
      <Button busy={isPending} onClick={() => mutate()}>
        {t(data || error ? "try.again" : "connectors.try")}
      </Button>
      {/* Present from the start, so that screen readers announce what appears in it. */}
      <div role="status">{data && !isPending && <Outcome tried={data} />}</div>
      {error && !isPending && <Notice kind="error">{describeError(error, t)}</Notice>}
    </div>
  );
}

function Outcome({ tried: { http_status, account } }: { tried: TriedConnection }) {
  const { t } = usePreferences();
  const works = http_status < 300;
  const isRefused = http_status === 401 || http_status === 403;
  return (
    <>
      <p className={`test__result test__result--${works ? "ok" : "failed"}`}>
        <Icon name={works ? "checkCircle" : "errorCircle"} />
        {t(works ? "try.works" : isRefused ? "try.refused" : "try.other")}
      </p>
      <Facts
        facts={[
          [t("try.status"), http_status],
          [t("try.account"), account],
        ]}
      />
    </>
  );
}
