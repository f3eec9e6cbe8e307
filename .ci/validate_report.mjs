// Microsoft's checks of a PBIR report: node validate_report.mjs MODULES REPORT
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, report] = process.argv.slice(2).map((name) => path.resolve(name));
// The library of the command line tool; the tool itself also imports a package that npm does not have.
const library = path.join(modules, "@microsoft/powerbi-report-authoring-cli/dist/index.js");
const { getMetadataProvider, locateReport, runReportValidation } = await import(pathToFileURL(library));
const found = await runReportValidation({ ...locateReport(report), provider: await getMetadataProvider(), skipSchema: false });
delete found.diagnostics.PBIR_SCHEMA_UNREACHABLE; // .ci/run checks the schemas from copies
const said = Object.entries(found.diagnostics).flatMap(([code, { severity, items }]) =>
    items.map((item) => `${severity} ${code}: ${item.message} ${item.path ?? ""}`),
);
console.log([...said, `${said.length} errors and warnings`].join("\n"));
process.exit(said.length ? 1 : 0);
