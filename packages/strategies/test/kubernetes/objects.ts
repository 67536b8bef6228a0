// Objects as a Kubernetes API of version 1.30 gives them, with what does not matter here too.

/** An object of the API. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

interface Common {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const LABELS = { app: "shop" };

/** Options of {@link pod}. */
export interface PodOptions extends Common {
  readonly ip?: string | undefined;
  readonly ips?: readonly string[];
  readonly phase?: string;
  readonly ready?: boolean;
  readonly terminating?: boolean;
  readonly hostname?: string;
  readonly subdomain?: string;
}

/** A pod of a StatefulSet; when `ip` is undefined it has none yet. */
export function pod(name: string, options: PodOptions = {}): ApiObject {
  const {
    namespace = "default",
    labels = LABELS,
    phase = "Running",
    ready = true,
    hostname,
    subdomain,
  } = options;
  const ip = "ip" in options ? options.ip : "10.244.1.17";
  const status = ready ? "True" : "False";
  const at = "2026-02-03T09:14:27Z";
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      generateName: "shop-",
      namespace,
      uid: `0f2c7a9e-5a61-4f0c-8d2b-${Buffer.from(name).toString("hex").padEnd(12, "0").slice(0, 12)}`,
      creationTimestamp: "2026-02-03T09:14:21Z",
      ...(options.terminating
        ? { deletionTimestamp: "2026-02-03T10:00:30Z", deletionGracePeriodSeconds: 30 }
        : {}),
      labels: {
        ...labels,
        "controller-revision-hash": "shop-6f7c9d5b8",
        "apps.kubernetes.io/pod-index": "0",
      },
      annotations: { "kubectl.kubernetes.io/restartedAt": "2026-02-03T09:14:20Z" },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          name: "shop",
          uid: "5a8e6b4c-98b1-4a53-b1f0-60e6d9a6a4d2",
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      volumes: [
        {
          name: "kube-api-access-7xk2p",
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
              { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
            ],
            defaultMode: 420,
          },
        },
      ],
      containers: [
        {
          name: "shop",
          image: "registry.example/shop:1.4.2",
          ports: [
            { name: "http", containerPort: 4000, protocol: "TCP" },
            { name: "epmd", containerPort: 4369, protocol: "TCP" },
          ],
          env: [{ name: "POD_IP", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "status.podIP" } } }],
          resources: {},
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
          imagePullPolicy: "IfNotPresent",
        },
      ],
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      serviceAccountName: "shop",
      serviceAccount: "shop",
      nodeName: "worker-1",
      securityContext: {},
      ...(hostname === undefined ? {} : { hostname }),
      ...(subdomain === undefined ? {} : { subdomain }),
      schedulerName: "default-scheduler",
      tolerations: [
        {
          key: "node.kubernetes.io/not-ready",
          operator: "Exists",
          effect: "NoExecute",
          tolerationSeconds: 300,
        },
      ],
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: "PreemptLowerPriority",
    },
    status: {
      phase,
      conditions: [
        { type: "PodReadyToStartContainers", status: "True", lastProbeTime: null, lastTransitionTime: at },
        { type: "Initialized", status: "True", lastProbeTime: null, lastTransitionTime: at },
        { type: "Ready", status, lastProbeTime: null, lastTransitionTime: at },
        { type: "ContainersReady", status, lastProbeTime: null, lastTransitionTime: at },
        { type: "PodScheduled", status: "True", lastProbeTime: null, lastTransitionTime: at },
      ],
      hostIP: "192.168.49.3",
      hostIPs: [{ ip: "192.168.49.3" }],
      ...(ip === undefined ? {} : { podIP: ip, podIPs: (options.ips ?? [ip]).map((one) => ({ ip: one })) }),
      startTime: "2026-02-03T09:14:21Z",
      containerStatuses: [
        {
          name: "shop",
          state: { running: { startedAt: "2026-02-03T09:14:25Z" } },
          lastState: {},
          ready,
          restartCount: 0,
          image: "registry.example/shop:1.4.2",
          imageID: "registry.example/shop@sha256:4f2d0c",
          containerID: "containerd://b1946ac92492d2347c6235b4d2611184",
          started: true,
        },
      ],
      qosClass: "BestEffort",
    },
  };
}

/** One address of {@link endpoints} and {@link slice}. */
export interface Target {
  readonly ip: string;
  readonly pod?: string;
  readonly hostname?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  /** `false` for one that was written by hand. */
  readonly target?: false;
}

/** The Endpoints of a service. */
export function endpoints(name: string, targets: readonly Target[], options: Common = {}): ApiObject {
  const { namespace = "default", labels = LABELS } = options;
  const written = (ready: boolean) =>
    targets
      .filter((one) => (one.ready ?? true) === ready)
      .map((one) => ({
        ip: one.ip,
        ...(one.hostname === undefined ? {} : { hostname: one.hostname }),
        nodeName: "worker-1",
        ...(one.target === false ? {} : { targetRef: targetRef(one, namespace) }),
      }));
  const [addresses, notReadyAddresses] = [written(true), written(false)];
  const ports = [{ name: "http", port: 4000, protocol: "TCP" }];
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: {
      name,
      namespace,
      uid: "b0fb1c3d-8c2a-4b5f-a6c3-ef0a7d1d2b90",
      creationTimestamp: "2026-02-03T09:14:20Z",
      labels: { ...labels, "service.kubernetes.io/headless": "" },
      annotations: { "endpoints.kubernetes.io/last-change-trigger-time": "2026-02-03T09:14:27Z" },
    },
    // a service without pods has no subsets at all
    ...(targets.length === 0
      ? {}
      : {
          subsets: [
            {
              ...(addresses.length === 0 ? {} : { addresses }),
              ...(notReadyAddresses.length === 0 ? {} : { notReadyAddresses }),
              ports,
            },
          ],
        }),
  };
}

/** An EndpointSlice of a service. */
export function slice(
  name: string,
  targets: readonly Target[],
  options: Common & { readonly service?: string; readonly addressType?: "IPv4" | "IPv6" | "FQDN" } = {},
): ApiObject {
  const { namespace = "default", labels = LABELS, service = "shop", addressType = "IPv4" } = options;
  return {
    addressType,
    apiVersion: "discovery.k8s.io/v1",
    endpoints: targets.map((one) => {
      const { ready = true, serving = ready, terminating = false } = one;
      return {
        addresses: [one.ip],
        conditions: { ready, serving, terminating },
        ...(one.hostname === undefined ? {} : { hostname: one.hostname }),
        nodeName: "worker-1",
        ...(one.target === false ? {} : { targetRef: targetRef(one, namespace) }),
        zone: "eu-central-1a",
      };
    }),
    kind: "EndpointSlice",
    metadata: {
      name,
      generateName: `${service}-`,
      namespace,
      uid: "6c2a5c8f-2f0c-4f4b-9bb5-0c8d2a1f7e33",
      generation: 3,
      creationTimestamp: "2026-02-03T09:14:20Z",
      labels: {
        ...labels,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": service,
        "service.kubernetes.io/headless": "",
      },
      ownerReferences: [
        {
          apiVersion: "v1",
          blockOwnerDeletion: true,
          controller: true,
          kind: "Service",
          name: service,
          uid: "a1",
        },
      ],
    },
    ports: [{ name: "http", port: 4000, protocol: "TCP" }],
  };
}

function targetRef({ ip, pod: name = `shop-${ip}` }: Target, namespace: string): object {
  return { kind: "Pod", namespace, name, uid: "0f2c7a9e-5a61-4f0c-8d2b-73686f702d30" };
}
