// The versions: all is there already; what judges now is kept true.

import { startStanding } from "./standing.js";

startStanding();
