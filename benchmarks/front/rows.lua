-- wrk's script: sends the rows of one file with the keys of another, both by turns, and writes
-- what was counted as one line of JSON.
local requests, turn = {}, 0

local function lines_of(path)
  local found = {}
  if path ~= nil then
    for line in io.lines(path) do found[#found + 1] = line end
  end
  return found
end

function init(args)
  local bodies, keys = lines_of(args[1]), lines_of(args[2])
  wrk.headers["Content-Type"] = "application/json"
  for i = 0, math.max(#bodies, #keys) - 1 do
    wrk.headers["X-API-Key"] = keys[i % math.max(1, #keys) + 1]
    requests[i + 1] = wrk.format("POST", nil, nil, bodies[i % #bodies + 1])
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
