// Runs one of the handlers as a specification (a JSON file) says, and prints what it measured as one line of JSON.
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { DeleteMessageBatchCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs";
import csv from "csv-parser";
import { produce, sqs, work } from "./handlers.js";

const imported = process.hrtime.bigint();
const spec = JSON.parse(readFileSync(process.argv[2], "utf8"));
const event = spec.event && JSON.parse(readFileSync(spec.event, "utf8"));
const QueueUrl = process.env.QUEUE_URL;
const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function drain() {
  let rows = 0;
  for (;;) {
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    if (!Messages?.length) return rows;
    const records = Messages.map((m) => ({ messageId: m.MessageId, body: m.Body, attributes: m.Attributes }));
    await timed(() => work({ Records: records }));
    rows += Messages.length;
    const Entries = Messages.map((m, i) => ({ Id: String(i), ReceiptHandle: m.ReceiptHandle }));
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  }
}

const inside = { wall: 0, cpu: 0 }; // what the chain spends in the handlers, without the poller that is Lambda's own
async function timed(call) {
  const [wall, spent] = [seconds(), cpu()];
  await call();
  inside.wall += seconds() - wall;
  inside.cpu += cpu() - spent;
}

const tasks = {
  work: async () => {
    const answer = await work(event);
    if (answer.batchItemFailures.length) throw new Error("not all was written");
    return spec.records_per_call;
  },
  produce: async () => (await produce(event)).sent,
  chain: async () => {
    await timed(() => produce(event));
    return drain();
  },
  parse: () =>
    new Promise((resolve, reject) => {
      let rows = 0;
      Readable.from(chunks, { objectMode: false })
        .pipe(csv())
        .on("data", () => (rows += 1))
        .on("end", () => resolve(rows))
        .on("error", reject);
    }),
};
const chunks = spec.content ? chunksOf(readFileSync(spec.content), 262144) : [];
function chunksOf(bytes, size) {
  const result = [];
  for (let at = 0; at < bytes.length; at += size) result.push(bytes.subarray(at, at + size));
  return result;
}

const once = tasks[spec.task];
let total = 0;
for (let i = 0; i < spec.warmup; i++) total += await once();
const firstAnswer = process.hrtime.bigint();
inside.wall = inside.cpu = 0;
const [wall, spent] = [seconds(), cpu()];
let records = 0;
for (let i = 0; i < spec.repeat; i++) records += await once();
const chain = spec.task === "chain";
const status = readFileSync("/proc/self/status", "utf8");
console.log(
  JSON.stringify({
    records,
    total_records: total + records,
    wall: chain ? inside.wall : seconds() - wall,
    cpu: chain ? inside.cpu : cpu() - spent,
    peak_kb: Number(/VmHWM:\s+(\d+)/.exec(status)[1]),
    // Both clocks are CLOCK_MONOTONIC, which processes of one machine share.
    imported_at: Number(imported) / 1e9,
    first_answer_at: Number(firstAnswer) / 1e9,
  }),
);
process.exit(0);
