/** Starts the page: styles, links, keys, the watch on what is arriving, then the shell. */
import { render } from "preact";
import { watchIngest } from "./app/ingest-watch";
import { listenToKeys } from "./app/key-bindings";
import { followLinks } from "./app/location";
import { Shell } from "./app/shell";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/query-box.css";
import "./styles/time-picker.css";

const root = document.getElementById("page");
if (root === null) throw new Error("index.html has no element with the id page");
followLinks();
listenToKeys();
watchIngest();
render(<Shell />, root);
