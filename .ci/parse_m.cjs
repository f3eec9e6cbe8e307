// Parses the Power Query expressions of every TMDL file below a folder: node parse_m.cjs FOLDER
const fs = require("fs");
const path = require("path");
const { DefaultSettings, TaskUtils } = require("@microsoft/powerquery-parser");

const expressions = (text) => [
    ...[...text.matchAll(/^\tpartition \S+ = m\n[^]*?source =\n((?:\t{4}.*\n)+)/gm)].map((found) => found[1]),
    ...[...text.matchAll(/^expression \S+ = (.+)$/gm)].map((found) => found[1]),
    ...[...text.matchAll(/^expression \S+ =\n((?:\t{2}.*\n)+)/gm)].map((found) => found[1]),
];

(async () => {
    let parsed = 0;
    let errors = 0;
    for (const file of fs.readdirSync(process.argv[2], { recursive: true }).filter((name) => name.endsWith(".tmdl"))) {
        for (const text of expressions(fs.readFileSync(path.join(process.argv[2], file), "utf-8"))) {
            parsed += 1;
            if (!TaskUtils.isParseStageOk(await TaskUtils.tryLexParse(DefaultSettings, text))) {
                errors += 1;
                console.log(`${file}: does not parse: ${text.slice(0, 200)}`);
            }
        }
    }
    console.log(`${parsed} Power Query expressions, ${errors} errors`);
    process.exit(errors || !parsed ? 1 : 0);
})();
