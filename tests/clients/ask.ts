// What a Node program does with the generated types; run with an address and a key.
import type { components, paths } from "./api.ts";

declare const process: { argv: string[] };

type Schemas = components["schemas"];
type Answer = Schemas["ChurnAnswer"];
type Asked = paths["/api/churn"]["post"]["requestBody"]["content"]["application/json"];
type Answered = paths["/api/churn"]["post"]["responses"][200]["content"]["application/json"];
type Refused = paths["/api/churn"]["post"]["responses"][422]["content"]["application/problem+json"];
type Batch = paths["/api/churn/batch"]["post"]["responses"][200]["content"]["application/json"];
type Models = paths["/models"]["get"]["responses"][200]["content"]["application/json"];

const [address, key] = process.argv.slice(2) as [string, string];

async function ask<T>(path: keyof paths, body?: unknown, query = ""): Promise<T> {
  const answer = await fetch(address + path + query, {
    method: body === undefined ? "GET" : "POST",
    headers: { "X-API-Key": key, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return (await answer.json()) as T;
}

function row(entity: string, tenureMonths: number): Asked {
  return {
    client_id: entity,
    sector: "finance",
    region: "north",
    segment: "mid",
    contract_type: "annual",
    tenure_months: tenureMonths,
    monthly_amount: 8500,
    nps: 30,
    tickets_count: 2,
    escalations_count: 0,
    late_payments_count: 1,
    utilisation_ratio: 0.67,
    overrun_ratio: 0.08,
    spend_change_ratio: 0.02,
    price_increase_ratio: 0,
    sponsor_changed: false,
    service_lines_count: 2,
    days_since_contact: 14,
  };
}

const models = await ask<Models>("/models");
const answer = await ask<Answered>("/api/churn", row("a", 18), "?explain=true");
const rows: Schemas["ChurnRows"] = { rows: [row("a", 18), row("b", -1)] };
const batch = await ask<Batch>("/api/churn/batch", rows);
const refused = await ask<Refused>("/api/churn", row("a", -1));
const first: Answer | null | undefined = batch.rows[0]?.answer;

console.log(
  JSON.stringify({
    models: models.models.map((model) => model.model),
    info: first?.model,
    entity: answer.entity,
    probability: answer.result.probability,
    explained: (answer.drivers?.contributions.length ?? 0) > 0,
    answered: batch.answered,
    refused: batch.refused,
    code: refused.code,
  }),
);
