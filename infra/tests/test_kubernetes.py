"""The manifest for Kubernetes, against the schemas of Kubernetes itself. KEDA's two kinds are not in
them: of those only what is named elsewhere is compared."""

from __future__ import annotations

import json
import unittest

from . import image_tools, tools

MANIFEST = tools.INFRA / "kubernetes" / "misstep.yaml"
KEDA = "keda.sh/v1alpha1"
VALIDATE = """
import json, sys, kubernetes_validate
version, *documents = json.loads(sys.argv[1])
for document in documents:
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as fault:
        print(document["kind"], ".".join(map(str, fault.path)), fault.message)
"""


def manifest() -> dict[str, dict]:
    """Each object by its kind."""
    documents = image_tools.parsed_yaml(MANIFEST.read_text())
    return {document["kind"]: document for document in documents}


def invalid(documents: list[dict]) -> str:
    python = tools.need(image_tools.kubernetes_python)
    done = tools.run([python, "-c", VALIDATE, json.dumps([image_tools.KUBERNETES, *documents])])
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return done.stdout


class KubernetesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.objects = manifest()

    def test_what_kubernetes_knows_is_valid(self) -> None:
        known = [it for it in self.objects.values() if it["apiVersion"] != KEDA]
        left_out = [kind for kind, it in self.objects.items() if it["apiVersion"] == KEDA]
        tools.say(f"SKIPPED: {' and '.join(left_out)} are KEDA's, whose schemas are not at hand")
        self.assertEqual({it["kind"] for it in known}, {"ServiceAccount", "ConfigMap", "Deployment"})
        self.assertEqual(invalid(known), "")

        # A slip is seen:
        pod = self.objects["Deployment"]["spec"]["template"]["spec"]
        pod["terminationGracePeriodSecond"] = pod.pop("terminationGracePeriodSeconds")
        self.assertIn("terminationGracePeriodSecond", invalid(known))

    def test_it_is_not_root_and_can_write_nowhere(self) -> None:
        pod = self.objects["Deployment"]["spec"]["template"]["spec"]
        [container] = pod["containers"]
        self.assertTrue(pod["securityContext"]["runAsNonRoot"])
        user = pod["securityContext"]["runAsUser"]
        self.assertIn(f"USER {user}:", (tools.ROOT / "Dockerfile").read_text())
        self.assertEqual(
            container["securityContext"],
            {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        )

    def test_probes_ask_the_port_that_the_image_serves(self) -> None:
        [container] = self.objects["Deployment"]["spec"]["template"]["spec"]["containers"]
        [port] = container["ports"]
        self.assertIn(f"MISSTEP_ADMIN_ADDR=0.0.0.0:{port['containerPort']}", (tools.ROOT / "Dockerfile").read_text())
        probes = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("liveness", "readiness")}
        self.assertEqual(
            probes,
            {
                "liveness": {"path": "/livez", "port": port["name"]},
                "readiness": {"path": "/readyz", "port": port["name"]},
            },
        )

    def test_its_parts_name_each_other(self) -> None:
        deployment, scaled = self.objects["Deployment"], self.objects["ScaledObject"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(deployment["spec"]["selector"]["matchLabels"], labels)
        self.assertEqual(scaled["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"])
        [trigger] = scaled["spec"]["triggers"]
        self.assertIn(trigger["metadata"]["queueURLFromEnv"], self.objects["ConfigMap"]["data"])
        self.assertEqual(
            trigger["authenticationRef"]["name"], self.objects["TriggerAuthentication"]["metadata"]["name"]
        )
        self.assertNotIn("replicas", deployment["spec"])

    def test_it_scales_as_the_example_on_fargate_does(self) -> None:
        scaled = self.objects["ScaledObject"]["spec"]
        scaling = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        fargate = tools.INFRA / "terraform/examples/fargate"
        here = {
            "backlog.tf": ("scale_in_cooldown", scaling["scaleDown"]["stabilizationWindowSeconds"]),
            "variables.tf": ("default", int(scaled["triggers"][0]["metadata"]["queueLength"])),
        }
        for file, (name, number) in here.items():
            self.assertRegex((fargate / file).read_text(), rf"(?m)^ *{name} += {number}$")

    def test_all_pods_together_keep_to_half_of_what_aws_refills(self) -> None:
        rate = float(self.objects["ConfigMap"]["data"]["MISSTEP_HISTORY_RATE"])
        scaled = self.objects["ScaledObject"]["spec"]
        self.assertEqual(rate * scaled["maxReplicaCount"], 10)
        self.assertGreaterEqual(scaled["minReplicaCount"], 1)


if __name__ == "__main__":
    unittest.main()
