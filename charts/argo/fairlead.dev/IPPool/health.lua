-- Health of a IPPool: Ready says it, as soon as it speaks of the generation that was applied.
local status = obj.status or {}
if (status.observedGeneration or -1) < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "the operator has not looked at it yet"}
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local stalled = conditions["Stalled"]
if stalled ~= nil and stalled.status == "True" then
  return {status = "Degraded", message = stalled.message}
end

local ready = conditions["Ready"]
if ready == nil then
  return {status = "Progressing", message = "the operator has not looked at it yet"}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end

local reconciling = conditions["Reconciling"]
if reconciling ~= nil and reconciling.status == "True" then
  return {status = "Progressing", message = reconciling.message}
end
return {status = "Degraded", message = ready.message}
