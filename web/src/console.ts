// What every page of the console loads: styles, htmx, live updates, countdowns. Pages work without any of it.
import "./styles/colours.css";
import "./styles/frame.css";
import "./styles/pieces.css";
import "./styles/phone.css";
import "htmx.org";
import "./countdown";
import { startLive } from "./live";

startLive();
