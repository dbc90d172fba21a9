// Writes a bootstrap into the directory named by the first argument and prints its path, or the error and its class.
import { writeBootstrap } from "../../src/bootstrap/bootstrap-file.ts";
import { renderBootstrap } from "../../src/bootstrap/render-bootstrap.ts";
import { configFixture } from "../bootstrap/config-fixture.ts";

const rendered = await renderBootstrap(configFixture(), {});
try {
  process.stdout.write(`${writeBootstrap(rendered, process.argv[2] ?? "", 0)}\n`);
} catch (error) {
  process.stdout.write(error instanceof Error ? `${error.name}: ${error.message}\n` : String(error));
}
