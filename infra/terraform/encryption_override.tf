# Terraform merges this into the queues of queues.tf. It stands apart because older providers, among
# them the one that the tests apply with, do not know the argument.
# SQS's own encryption and a key exclude each other.

resource "aws_sqs_queue" "queue" {
  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
}

resource "aws_sqs_queue" "dead_letter" {
  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
}

resource "aws_sqs_queue" "target_dead_letter" {
  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
}
