-- wrk script. Arguments: how many bytes to POST (0: GET), and "vary" to put another number for each @ in each request.
-- A third argument is how many milliseconds each connection rests before its next request. The result is one JSON line.
function init(args)
  local bytes = tonumber(args[1])
  if bytes > 0 then
    wrk.method = "POST"
    wrk.body = string.rep("x", bytes)
  end
  local pause = tonumber(args[3])
  if pause then
    delay = function() return pause end
  end
  if args[2] == "vary" then
    local text = wrk.format()
    local number = 0
    request = function()
      number = number + 1
      return (text:gsub("@", number))
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p99_ms": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
