-- post.lua - wrk's script: POST 256 bytes of JSON, one JSON line at the end.
-- PREFER in the environment is sent as that field, METHOD is another method.
wrk.method = os.getenv("METHOD") or "POST"
wrk.body = '{"name":"bench","pad":"' .. string.rep("x", 256 - 25) .. '"}'
wrk.headers["Content-Type"] = "application/json"
if os.getenv("PREFER") then wrk.headers["Prefer"] = os.getenv("PREFER") end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"n":%d,"seconds":%.6f,"p50":%d,"p99":%d,"max":%d,"bad":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    latency.max, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
