"""The steps of the Redis engine, in Lua: each happens as a whole, whoever else is at work (``rtsync.bus.engine``).

Keys of a session, behind the prefix: ``card:ID`` (a hash: whose it is, who holds it, how it ended), ``in:ID`` (a
stream: the commands that are not done), ``seen:ID`` (a sorted set: ids of commands, by when they came), ``out:ID`` (a
stream: the newest events), ``plan:ID`` (a hash). Over all: ``leases`` (by when they run out, which is 0 for what
nobody holds), ``idle`` (by when they will be idle for too long), ``owner:NAME`` (a user's sessions, by the same).

The clock is the server's. A claim stands as long as nobody else has claimed the session, also over the end of its
lease: that is what ``token`` tells.
"""

from __future__ import annotations

__all__ = [
    "CLAIM",
    "CLOSE_IDLE",
    "FINISH",
    "POST",
    "PUBLISH",
    "REGISTER",
    "RELEASE",
    "RENEW",
    "REVIVE",
    "SERVER",
    "TOUCH",
]

_CLOCK = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

_SERVER = """
local function server() return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
"""

_SESSION = (
    _CLOCK
    + """
local P = ARGV[1]
local function keep(id, ms)
  for _, kind in ipairs({'card:', 'in:', 'seen:', 'out:', 'plan:'}) do
    redis.call('PEXPIRE', P .. kind .. id, ms)
  end
end
local function used(id, owner, idle)
  local until_ = now() + idle
  redis.call('ZADD', P .. 'idle', until_, id)
  redis.call('ZADD', P .. 'owner:' .. owner, until_, id)
  redis.call('PEXPIRE', P .. 'owner:' .. owner, 2 * idle + 60000)
  keep(id, 2 * idle + 60000)
end
local function finish(id, owner, cause, ms)
  redis.call('HSET', P .. 'card:' .. id, 'cause', cause)
  redis.call('HDEL', P .. 'card:' .. id, 'token', 'holder')
  redis.call('ZREM', P .. 'leases', id)
  redis.call('ZREM', P .. 'idle', id)
  redis.call('ZREM', P .. 'owner:' .. owner, id)
  redis.call('XTRIM', P .. 'in:' .. id, 'MAXLEN', 0) -- Not DEL: ids must go on growing.
  keep(id, math.ceil(ms))
end
local function tell(id)
  redis.call('XADD', P .. 'in:' .. id, '*', 'e', '')
  redis.call('PEXPIRE', P .. 'in:' .. id, 60000)
end
"""
)

REGISTER = (
    _SESSION
    + """
-- prefix, id, owner, card, idle ms, most, most of owner, most commands
local id, owner, idle = ARGV[2], ARGV[3], tonumber(ARGV[5])
if redis.call('EXISTS', P .. 'card:' .. id) == 1 then return '' end
local gone = now() - idle - 60000
redis.call('ZREMRANGEBYSCORE', P .. 'idle', '-inf', gone)
redis.call('ZREMRANGEBYSCORE', P .. 'owner:' .. owner, '-inf', gone)
if redis.call('ZCARD', P .. 'idle') >= tonumber(ARGV[6]) then return 'all' end
if redis.call('ZCARD', P .. 'owner:' .. owner) >= tonumber(ARGV[7]) then return 'owner' end
redis.call('HSET', P .. 'card:' .. id, 'owner', owner, 'card', ARGV[4], 'idle', idle, 'created', now(), 'claims', 0,
  'backlog', ARGV[8])
redis.call('ZADD', P .. 'leases', 0, id)
used(id, owner, idle)
redis.call('XADD', P .. 'lobby', 'MAXLEN', 1, '*', 'e', '')
return ''
"""
)

POST = (
    _SESSION
    + """
-- prefix, id, owner, command id, command
local id, card = ARGV[2], P .. 'card:' .. ARGV[2]
local known = redis.call('HMGET', card, 'owner', 'cause', 'idle', 'backlog')
if known[1] ~= ARGV[3] then return 'unknown' end
if known[2] then return 'closed' end
if redis.call('ZSCORE', P .. 'seen:' .. id, ARGV[4]) then return 'done' end
if redis.call('XLEN', P .. 'in:' .. id) >= tonumber(known[4]) then return 'full' end
redis.call('XADD', P .. 'in:' .. id, '*', 'e', ARGV[5])
redis.call('ZADD', P .. 'seen:' .. id, now(), ARGV[4])
redis.call('ZREMRANGEBYRANK', P .. 'seen:' .. id, 0, -1025)
used(id, known[1], tonumber(known[3]))
return 'done'
"""
)

TOUCH = (
    _SESSION
    + """
-- prefix, ids...
for i = 2, #ARGV do
  local known = redis.call('HMGET', P .. 'card:' .. ARGV[i], 'owner', 'cause', 'idle')
  if known[1] and not known[2] then used(ARGV[i], known[1], tonumber(known[3])) end
end
return 'done'
"""
)

FINISH = (
    _SESSION
    + """
-- prefix, id, owner or '', cause, notice
local id = ARGV[2]
local known = redis.call('HMGET', P .. 'card:' .. id, 'owner', 'cause', 'card')
if not known[1] or (ARGV[3] ~= '' and known[1] ~= ARGV[3]) then return 'unknown' end
if known[2] then return 'closed' end
redis.call('XADD', P .. 'out:' .. id, '*', 'e', ARGV[5])
finish(id, known[1], ARGV[4], cjson.decode(known[3])['keep_closed'] * 1000)
tell(id)
return 'done'
"""
)

CLAIM = (
    _SESSION
    + _SERVER
    + """
-- prefix, holder, most, lease ms; returns which server this is, and id, card, token, claims, tries,
-- handed over, ...
local found = {server()}
local free = redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now(), 'LIMIT', 0, tonumber(ARGV[3]))
for _, id in ipairs(free) do
  local card = P .. 'card:' .. id
  local known = redis.call('HMGET', card, 'card', 'cause', 'handed')
  if not known[1] or known[2] then
    redis.call('ZREM', P .. 'leases', id)
    if not known[1] then redis.call('ZREM', P .. 'idle', id) end
  else
    local claims = redis.call('HINCRBY', card, 'claims', 1)
    local token = ARGV[2] .. ':' .. claims
    redis.call('HSET', card, 'token', token, 'holder', ARGV[2], 'batch', 0, 'handed', '')
    redis.call('ZADD', P .. 'leases', now() + tonumber(ARGV[4]), id)
    local tries = redis.call('HINCRBY', card, 'tries', 1)
    for _, value in ipairs({id, known[1], token, tostring(claims), tostring(tries), known[3] or ''}) do
      table.insert(found, value)
    end
  end
end
return found
"""
)

_STANDS = """
local function stands(id, token)
  local known = redis.call('HMGET', P .. 'card:' .. id, 'owner', 'cause', 'token', 'batch', 'card')
  if not known[1] then return 'gone', known end
  if known[2] then return 'closed', known end
  if known[3] ~= token then return 'stale', known end
  return 'done', known
end
"""

RENEW = (
    _SESSION
    + _SERVER
    + _STANDS
    + """
-- prefix, lease ms, id, token, ...; returns which server this is, and outcomes
local said = {server()}
for i = 3, #ARGV, 2 do
  local outcome = stands(ARGV[i], ARGV[i + 1])
  if outcome == 'done' then redis.call('ZADD', P .. 'leases', now() + tonumber(ARGV[2]), ARGV[i]) end
  table.insert(said, outcome)
end
return said
"""
)

RELEASE = (
    _SESSION
    + _STANDS
    + """
-- prefix, id, token, ...
for i = 2, #ARGV, 2 do
  if stands(ARGV[i], ARGV[i + 1]) == 'done' then
    redis.call('HDEL', P .. 'card:' .. ARGV[i], 'token', 'holder')
    redis.call('HSET', P .. 'card:' .. ARGV[i], 'handed', '1')
    redis.call('ZADD', P .. 'leases', 0, ARGV[i])
  end
end
redis.call('XADD', P .. 'lobby', 'MAXLEN', 1, '*', 'e', '')
return 'done'
"""
)

PUBLISH = (
    _SESSION
    + _STANDS
    + """
-- prefix, id, token, number, most events, ms to keep, cause or '', before or '', four counts;
-- then so many events, commands that are done, fields of the plan with their values, and fields to take out of it
local id = ARGV[2]
local outcome, known = stands(id, ARGV[3])
if outcome ~= 'done' or known[4] == ARGV[4] then return outcome end
redis.call('HSET', P .. 'card:' .. id, 'batch', ARGV[4])
if ARGV[9] ~= '0' then redis.call('HSET', P .. 'card:' .. id, 'tries', 0) end
local out, plan, commands = P .. 'out:' .. id, P .. 'plan:' .. id, P .. 'in:' .. id
local i = 13
local function take(count)
  local found = {}
  for _ = 1, tonumber(count) do table.insert(found, ARGV[i]); i = i + 1 end
  return found
end
for _, event in ipairs(take(ARGV[9])) do redis.call('XADD', out, 'MAXLEN', '~', ARGV[5], '*', 'e', event) end
for _, entry in ipairs(take(ARGV[10])) do redis.call('XDEL', commands, entry) end
local set = take(2 * ARGV[11])
for n = 1, #set, 2 do redis.call('HSET', plan, set[n], set[n + 1]) end
for _, field in ipairs(take(ARGV[12])) do redis.call('HDEL', plan, field) end
if ARGV[8] ~= '' then redis.call('XTRIM', commands, 'MINID', ARGV[8]) end
if ARGV[7] ~= '' then
  finish(id, known[1], ARGV[7], cjson.decode(known[5])['keep_closed'] * 1000)
else
  redis.call('PEXPIRE', out, ARGV[6])
  redis.call('PEXPIRE', plan, ARGV[6])
end
return 'done'
"""
)

REVIVE = (
    _SESSION
    + _STANDS
    + """
-- prefix, lease ms, id, owner, card, idle ms, token, claims, holder, most commands, field, value, ...
local id, token = ARGV[3], ARGV[7]
local outcome, known = stands(id, token)
if outcome ~= 'gone' then return outcome end
local idle = tonumber(ARGV[6])
redis.call('HSET', P .. 'card:' .. id, 'owner', ARGV[4], 'card', ARGV[5], 'idle', idle, 'created', now(),
  'claims', ARGV[8], 'token', token, 'holder', ARGV[9], 'batch', 0, 'backlog', ARGV[10])
for i = 11, #ARGV, 2 do redis.call('HSET', P .. 'plan:' .. id, ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', P .. 'leases', now() + tonumber(ARGV[2]), id)
used(id, ARGV[4], idle)
return 'done'
"""
)

SERVER = _SERVER + "return server()"

CLOSE_IDLE = (
    _SESSION
    + """
-- prefix, most, notice; returns how many. Every session has its own idle time, which is written into the notice.
local closed = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'idle', '-inf', now(), 'LIMIT', 0, tonumber(ARGV[2]))) do
  local known = redis.call('HMGET', P .. 'card:' .. id, 'owner', 'cause', 'card', 'idle')
  if known[1] and not known[2] then
    local notice = string.gsub(ARGV[3], '@SECONDS@', tostring(known[4] / 1000))
    redis.call('XADD', P .. 'out:' .. id, '*', 'e', notice)
    finish(id, known[1], 'idle', cjson.decode(known[3])['keep_closed'] * 1000)
    tell(id)
    closed = closed + 1
  else
    redis.call('ZREM', P .. 'idle', id)
  end
end
return closed
"""
)
