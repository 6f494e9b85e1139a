/** Which tests belong to which run. A new file is in the long run, unless one of the patterns here names it. */

/** Pure parts: quick, and alone in no process. */
export const UNITS = [
  "test/{architecture,glob,store-url}.test.ts",
  "test/{calls,config,docs,image,legacy,lib,limits,log,modern,observers,protocol,proxy,requests,retrofit,tasks}/**/*.test.ts",
];

/** What `npm test` runs beside them: one story of each kind, with real sockets, servers, stores and the conformance suite's tasks. */
export const STORIES = [
  "test/conformance/tasks.test.ts",
  "test/http/{answers,bodies,cors,guards,half-closed,middleware,order,shutdown,unreachable}.test.ts",
  "test/http/callers/{authorization,header,jwt,token-subjects,server-metadata,trusted-proxies}.test.ts",
  "test/gateway/{draining,encryption,limits,listen,mrtr,questions,request-headers,shutdown,store-away}.test.ts",
  "test/gateway/{tasks,tasks-policy,tasks-progress,tasks-queue,tasks-store,tool-names,upstream-loss}.test.ts",
  "test/gateway/modern/*.test.ts",
  "test/gateway/paired/messages.test.ts",
  "test/gateway/tasks-2025/{cancel,capabilities,creation,isolation,questions,result,store}.test.ts",
  "test/gateway/transparent/{bodies,connections,endings,heads,left-over,filters}.test.ts",
  "test/isolation/two-callers.test.ts",
  "test/real/{clients,task-session}.test.ts",
  "test/store/{cell-store,cell-text,clock-steps,keyv-backend,level,memory,redis,replicas,sealed-backend,sweep}.test.ts",
  "test/upstream/{checked-transport,cookies,era,fair-shares,probe,rejoin,request-ids,single,sse,stdio,unusable-answer}.test.ts",
];

/** What takes a minute a file, such as the programs of others and the longest crash loops: in no run but `npm run test:slow`. */
export const SLOW = [
  "test/blips/blips.test.ts",
  "test/survival/{crash-loop-kinds,fallback,large-answers,memory-store,rolling-restart}.test.ts",
  "test/gateway/draining-store.test.ts",
  "test/upstream/upstream-{json-only,sse,stateless,stdio-single}.test.ts",
  "test/inspect/servers.test.ts",
  "test/conformance/fallback.test.ts",
  "test/real/legacy-clients-{examples,session,streams}.test.ts",
  "test/conformance/requirements-2025-paired.test.ts",
  "test/stdio/sdk.test.ts",
  "test/gateway/paired/clients.test.ts",
  "test/real/legacy-clients-programs.test.ts",
  "test/slow/*.test.ts",
];

/** What builds the image and runs it: in no run but `npm run image`. */
export const IMAGE = ["test/image/run/*.test.ts"];

/** What depends most on Node itself: connections, streams, processes and files. Another Node runs these as well. */
export const OF_NODE = [
  "test/http/*.test.ts",
  "test/gateway/draining.test.ts",
  "test/gateway/transparent/**/*.test.ts",
  "test/store/{level,level-failures,level-storage,redis,redis-tls}.test.ts",
  "test/upstream/child*.test.ts",
  "test/upstream/rejoin.test.ts",
  "test/upstream/upstream-streamable-http.test.ts",
];
