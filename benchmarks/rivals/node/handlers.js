// The pair of handlers as guides show them: one SendMessage a row (or, with SEND_BATCHES, a SendMessageBatch for ten), all
// promises awaited together; BatchWriteItem in a loop (or, with LANES, in so many loops at once). Settings that help are on, and nothing that slows it down is added:
// - one client for each service in a process, keep-alive agents (the SDK's default), 128 sockets instead of 50;
// - the client for DynamoDB rather than the document client, which would marshal each item again;
// - MD5 checks of SQS off, since they cost and the engine beside it does without them;
// - NODE_OPTIONS is left alone; the harness pins the process to one core, as a Lambda function of 1,769 MB has it.
import http from "node:http";
import https from "node:https";
import { BatchWriteItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import csv from "csv-parser";

const sockets = { keepAlive: true, maxSockets: 128 };
const options = () => ({
  region: process.env.AWS_REGION,
  endpoint: process.env.AWS_ENDPOINT_URL,
  requestHandler: new NodeHttpHandler({
    httpAgent: new http.Agent(sockets),
    httpsAgent: new https.Agent(sockets),
    socketAcquisitionWarningTimeout: 3_600_000, // it would only fill the log
  }),
});
const s3 = new S3Client({ ...options(), forcePathStyle: true });
export const sqs = new SQSClient({ ...options(), md5: false });
const dynamodb = new DynamoDBClient(options());

const QueueUrl = process.env.QUEUE_URL;
const one = async (text) => {
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: text }));
  return 1;
};
const ten = async (texts) => {
  const Entries = texts.map((text, i) => ({ Id: String(i), MessageBody: text }));
  const reply = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  if (reply.Failed?.length) throw new Error(`${reply.Failed.length} messages were refused`);
  return texts.length;
};
const inBatches = Boolean(process.env.SEND_BATCHES);

export async function produce(event) {
  let sent = 0;
  for (const record of event.Records) {
    const { bucket, object } = record.s3;
    const key = decodeURIComponent(object.key.replace(/\+/g, " "));
    const reply = await s3.send(new GetObjectCommand({ Bucket: bucket.name, Key: key }));
    const promises = [];
    let texts = [];
    await new Promise((resolve, reject) => {
      let row = 0;
      reply.Body.on("error", reject)
        .pipe(csv())
        .on("data", (data) => {
          row += 1;
          const body = { ...data, processedAt: new Date().toISOString(), rowNumber: row };
          const text = JSON.stringify(body);
          if (!inBatches) promises.push(one(text));
          else if (texts.push(text) === 10) promises.push(ten(texts.splice(0)));
        })
        .on("end", resolve)
        .on("error", reject);
    });
    if (texts.length) promises.push(ten(texts));
    for (const count of await Promise.all(promises)) sent += count;
  }
  return { sent };
}

const put = (name, mail, phone, processedAt, version) => ({
  PutRequest: {
    Item: {
      name: { S: name },
      email: { S: mail },
      phone: { S: phone },
      processedAt: { S: processedAt },
      createdAt: { N: version },
    },
  },
});
const version = (seconds, row) => `${seconds}.${String(row).padStart(12, "0")}`;

// Takes plain messages, as `produce` sends them, and packed ones, so that it can be shown what packing alone gives.
export async function work(event) {
  const requests = [];
  for (const record of event.Records) {
    const body = JSON.parse(record.body);
    if (body.rows) {
      for (const [row, name, mail, phone] of body.rows)
        requests.push(put(name, mail, phone, body.processedAt, version(body.object.modified, row)));
    } else {
      const seconds = Math.floor(Number(record.attributes.SentTimestamp) / 1000);
      requests.push(put(body.name, body.mail, body.phone, body.processedAt, version(seconds, body.rowNumber)));
    }
  }
  let next = 0;
  const lane = async () => {
    while (next < requests.length) {
      const at = next;
      next += 25;
      let pending = { [process.env.TABLE_NAME]: requests.slice(at, at + 25) };
      while (Object.keys(pending).length) {
        const reply = await dynamodb.send(new BatchWriteItemCommand({ RequestItems: pending }));
        pending = reply.UnprocessedItems ?? {};
      }
    }
  };
  await Promise.all(Array.from({ length: Number(process.env.LANES ?? 1) }, lane));
  return { batchItemFailures: [] };
}
