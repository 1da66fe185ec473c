// The page to try things on: the state of the service on top, a row, a file.

import { startFile } from "./file.js";
import { startRow } from "./row.js";
import { startStanding } from "./standing.js";

startFile(startRow());
startStanding();
