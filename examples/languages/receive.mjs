import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { env } from "node:process";

const key = Buffer.from(env.SECRET.replace("whsec_", ""), "base64");

function signed(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) {
    return false; // too old: somebody sends it again
  }
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body);
  const want = Buffer.from("v1," + mac.digest("base64"));
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const got = Buffer.from(signature);
    return got.length === want.length && timingSafeEqual(got, want);
  });
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!signed(request.headers, body)) {
    response.writeHead(401).end();
    return;
  }
  const job = JSON.parse(body);
  console.log(`${job.name} of order ${job.data.order_id}, attempt ${job.attempts}`);
  response.writeHead(204).end(); // done; 410 fails for good, anything else is an error
}).listen(Number(env.PORT), "127.0.0.1");
