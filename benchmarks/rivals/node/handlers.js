// The pair of handlers as guides show them: one SendMessage a row, all promises awaited together; BatchWriteItem in a
// loop. Settings that help are on, and nothing that slows it down is added:
// - one client for each service in a process, keep-alive agents (the SDK's default), 128 sockets instead of 50;
// - the client for DynamoDB rather than the document client, which would marshal each item again;
// - MD5 checks of SQS off, since they cost and the engine beside it does without them;
// - NODE_OPTIONS is left alone; the harness pins the process to one core, as a Lambda function of 1,769 MB has it.
import http from "node:http";
import https from "node:https";
import { BatchWriteItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
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

export async function produce(event) {
  let sent = 0;
  for (const record of event.Records) {
    const { bucket, object } = record.s3;
    const key = decodeURIComponent(object.key.replace(/\+/g, " "));
    const reply = await s3.send(new GetObjectCommand({ Bucket: bucket.name, Key: key }));
    const promises = [];
    await new Promise((resolve, reject) => {
      let row = 0;
      reply.Body.on("error", reject)
        .pipe(csv())
        .on("data", (data) => {
          row += 1;
          const body = { ...data, processedAt: new Date().toISOString(), rowNumber: row };
          promises.push(
            sqs.send(new SendMessageCommand({ QueueUrl: process.env.QUEUE_URL, MessageBody: JSON.stringify(body) })),
          );
        })
        .on("end", resolve)
        .on("error", reject);
    });
    await Promise.all(promises);
    sent += promises.length;
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
  for (let at = 0; at < requests.length; at += 25) {
    let pending = { [process.env.TABLE_NAME]: requests.slice(at, at + 25) };
    while (Object.keys(pending).length) {
      const reply = await dynamodb.send(new BatchWriteItemCommand({ RequestItems: pending }));
      pending = reply.UnprocessedItems ?? {};
    }
  }
  return { batchItemFailures: [] };
}
