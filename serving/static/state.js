// What the service says of itself, asked again and again while somebody looks.

/** Call `tell(ready, body)` every `seconds` with the answer of health/ready; ready is null when the
 * service cannot be reached. A page that is not seen does not ask. */
export function watchReadiness(seconds, tell) {
  const ask = async () => {
    if (!document.hidden) {
      try {
        const response = await fetch("health/ready", { cache: "no-store" });
        tell(response.ok, await response.json().catch(() => ({})));
      } catch {
        tell(null, {});
      }
    }
    setTimeout(ask, seconds * 1000);
  };
  ask();
}
