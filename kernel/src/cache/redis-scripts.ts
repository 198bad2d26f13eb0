/*
 * What the cache does in Redis, each step as a whole. KEYS[1] is the prefix of a plugin's keys:
 *   e:<id>  an entry (expires by itself)      use, exp  its ids by last use and by end of time
 *   size, tags  of each id                    bytes     of all
 *   t:<org>:<tag>  ids with that tag          m:<what>  when that was last invalidated
 *   l:<id>  who loads it
 * An entry counts only while all that leads to it is there: whatever Redis evicts by itself makes a miss, never a wrong hit.
 */

const COMMON = `
local P = KEYS[1]
local function now() local t = redis.call('TIME'); return t[1] * 1000000 + t[2] end
-- What is said to be in the future is from before the clock was set back. Then it can't be told how old it is.
local function ahead(n) return n and tonumber(n) > now() + 1000000 end
local function text(n) return string.format('%.0f', n) end
local function drop(id)
  local found = redis.call('UNLINK', P .. 'e:' .. id)
  local size = redis.call('HGET', P .. 'size', id)
  if size then redis.call('DECRBY', P .. 'bytes', size) end
  redis.call('HDEL', P .. 'size', id)
  redis.call('ZREM', P .. 'use', id)
  redis.call('ZREM', P .. 'exp', id)
  local tags = redis.call('HGET', P .. 'tags', id)
  if tags then
    for _, tag in ipairs(cjson.decode(tags)) do redis.call('SREM', P .. 't:' .. tag, id) end
    redis.call('HDEL', P .. 'tags', id)
  end
  return found
end
local function mark(what, ms) redis.call('SET', P .. 'm:' .. what, text(now()), 'PX', ms) end
`;

const FIND = `
local function find(id)
  local data = redis.call('GET', P .. 'e:' .. id)
  if not data then return nil end
  local tags = redis.call('HGET', P .. 'tags', id)
  local whole = tags and redis.call('HEXISTS', P .. 'size', id) == 1 and not ahead(redis.call('ZSCORE', P .. 'use', id))
  if whole then
    for _, tag in ipairs(cjson.decode(tags)) do
      if redis.call('SISMEMBER', P .. 't:' .. tag, id) == 0 then whole = false end
    end
  end
  if not whole then drop(id); return nil end
  redis.call('ZADD', P .. 'use', 'XX', text(now()), id)
  return data
end
`;

/** id → the entry, or nil. */
export const GET = `${COMMON}${FIND}
return find(ARGV[1]) or false`;

/** id, name of the lock, its ms, most ms of any → {entry}, {false, since} with the lock, or {} when another has it. */
export const CLAIM = `${COMMON}${FIND}
local data = find(ARGV[1])
if data then return {data} end
local lock = P .. 'l:' .. ARGV[1]
if redis.call('SET', lock, ARGV[2], 'NX', 'PX', ARGV[3]) then return {false, text(now())} end
-- It is from before the clock was set back.
if redis.call('PTTL', lock) > tonumber(ARGV[4]) then redis.call('PEXPIRE', lock, ARGV[4]) end
return {}`;

/** id, name of the lock. */
export const RELEASE = `
local key = KEYS[1] .. 'l:' .. ARGV[1]
if redis.call('GET', key) == ARGV[2] then redis.call('DEL', key) end
return 0`;

/**
 * id, organisation, entry, its size, ms, tags as JSON (with their organisation), most entries, most bytes, since (or ''), ms of marks.
 * Stores it, unless that is from before an invalidation; then drops what is used least until the plugin keeps to its share.
 */
export const SET = `${COMMON}
local id, org, data, size, ttl, tags = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local list = cjson.decode(tags)
if ARGV[9] ~= '' then
  local marks = {'p', 'o:' .. org, 'k:' .. id}
  for _, tag in ipairs(list) do marks[#marks + 1] = 't:' .. tag end
  for _, what in ipairs(marks) do
    local at = redis.call('GET', P .. 'm:' .. what)
    if at and tonumber(at) >= tonumber(ARGV[9]) then
      if ahead(at) then redis.call('DEL', P .. 'm:' .. what) end
      return 0
    end
  end
else
  mark('k:' .. id, ARGV[10])
end
local ms = math.floor(now() / 1000)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', P .. 'exp', '-inf', ms, 'LIMIT', 0, 100)) do drop(old) end
drop(id)
redis.call('SET', P .. 'e:' .. id, data, 'PX', ttl)
redis.call('ZADD', P .. 'use', text(now()), id)
redis.call('ZADD', P .. 'exp', text(ms + ttl), id)
redis.call('HSET', P .. 'size', id, size)
redis.call('HSET', P .. 'tags', id, tags)
local bytes = redis.call('INCRBY', P .. 'bytes', size)
local index = {'use', 'exp', 'size', 'tags', 'bytes'}
for _, tag in ipairs(list) do
  redis.call('SADD', P .. 't:' .. tag, id)
  index[#index + 1] = 't:' .. tag
end
for _, name in ipairs(index) do
  if redis.call('PTTL', P .. name) < ttl then redis.call('PEXPIRE', P .. name, ttl) end
end
while redis.call('ZCARD', P .. 'use') > tonumber(ARGV[7]) or bytes > tonumber(ARGV[8]) do
  local oldest = redis.call('ZRANGE', P .. 'use', 0, 0)[1]
  if not oldest then redis.call('DEL', P .. 'bytes'); break end
  drop(oldest)
  bytes = tonumber(redis.call('GET', P .. 'bytes') or '0')
end
return 1`;

/** ms of marks, then keys and tags: {'k', id} or {'t', tag}, flat → how many entries went. */
export const DROP = `${COMMON}
local gone = 0
for at = 2, #ARGV, 2 do
  local kind, name = ARGV[at], ARGV[at + 1]
  mark(kind .. ':' .. name, ARGV[1])
  if kind == 'k' then
    gone = gone + drop(name)
  else
    for _, id in ipairs(redis.call('SMEMBERS', P .. 't:' .. name)) do gone = gone + drop(id) end
  end
end
return gone`;

/** ms of marks, organisation; all organisations when that is ''. */
export const CLEAR = `${COMMON}
local org = ARGV[2]
mark(org == '' and 'p' or 'o:' .. org, ARGV[1])
for _, id in ipairs(redis.call('ZRANGE', P .. 'use', 0, -1)) do
  if org == '' or string.sub(id, 1, #org + 1) == org .. ':' then drop(id) end
end
return 0`;
