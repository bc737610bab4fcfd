require "json"

$stdout.sync = true # standard output is for answers: no puts here
$stdin.each_line do |line|
  job = JSON.parse(line)
  answer = { id: job["id"], outcome: "done" }
  if job["data"]["order_id"]
    warn "#{job['name']} of order #{job['data']['order_id']}, attempt #{job['attempts']}"
  else
    answer = { id: job["id"], outcome: "fail", error: "no order_id in the data" }
  end
  $stdout.puts JSON.generate(answer)
end
