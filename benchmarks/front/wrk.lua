-- Sends the rows of a file by turns, and writes what was counted as one line of JSON.
local requests, turn = {}, 0

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  if args[2] ~= nil then wrk.headers["X-API-Key"] = args[2] end
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, nil, line)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "p999": %.1f, "max": %.1f,'
      .. ' "bad_status": %d, "broken": %d, "timeouts": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9), latency.max, errors.status,
    errors.connect + errors.read + errors.write, errors.timeout))
end
