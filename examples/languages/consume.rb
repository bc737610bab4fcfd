require "json"

data = JSON.parse($stdin.read)
unless data["order_id"]
  warn "no order_id in the data" # the job's error
  exit 65 # fail for good: no other try helps
end
puts "#{ENV['SQLQUEUE_JOB_NAME']} of order #{data['order_id']}, attempt #{ENV['SQLQUEUE_JOB_ATTEMPTS']}"
