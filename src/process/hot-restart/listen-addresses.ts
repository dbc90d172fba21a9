/** `/listeners?format=json` of Envoy's admin, as far as we read it. */
interface ListenersJson {
  readonly listener_statuses?: readonly {
    readonly local_address?: AddressJson;
    readonly additional_local_addresses?: readonly AddressJson[];
  }[];
}

interface AddressJson {
  readonly socket_address?: {
    readonly protocol?: string;
    readonly address?: string;
    readonly port_value?: number;
    readonly network_namespace_filepath?: string;
  };
}

/**
 * The addresses that Envoy listens on, as the hot restart names them ("tcp://127.0.0.1:80", "tcp://[::1]:80"), each
 * once, in order. Only IP sockets in Envoy's own network namespace; pipes and internal listeners have no socket that
 * could be kept. A UDP listener looks the same here: its socket is refused when it comes. Throws on text that is not
 * the admin's.
 */
export function addressesOf(listenersJson: string): readonly string[] {
  const { listener_statuses: listeners } = JSON.parse(listenersJson) as ListenersJson;
  const addresses = (listeners ?? []).flatMap((one) => [one.local_address, ...(one.additional_local_addresses ?? [])]);
  return [...new Set(addresses.flatMap((one) => addressOf(one)))];
}

function addressOf(json: AddressJson | undefined): readonly string[] {
  const { protocol, address, port_value: port, network_namespace_filepath: namespace } = json?.socket_address ?? {};
  if (address === undefined || port === undefined) return [];
  if ((protocol ?? "TCP") !== "TCP" || (namespace ?? "") !== "") return [];
  return [`tcp://${address.includes(":") ? `[${address}]` : address}:${port}`];
}
