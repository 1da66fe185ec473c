// The page without a model: say why, and open the real page as soon as there is one.

import { byId } from "./dom.js";
import { watchReadiness } from "./state.js";
import { t } from "./words.js";

watchReadiness(2, (ready, body) => {
  if (ready) location.reload();
  const reason = ready === null ? t("unreachable") : (body.reason ?? t("no_model"));
  if (byId("reason").textContent !== reason) byId("reason").textContent = reason;
});
