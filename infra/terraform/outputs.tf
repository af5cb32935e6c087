output "worker_environment" {
  description = "Environment variables of the worker."
  value = merge(
    {
      AWS_REGION                   = data.aws_region.here.region
      MISSTEP_QUEUE_URL            = aws_sqs_queue.queue.id
      MISSTEP_DLQ_URL              = aws_sqs_queue.dead_letter.id
      MISSTEP_APPLICATION_NAME     = var.application_name
      MISSTEP_ENV                  = var.env
      MISSTEP_NOTIFICATION_API     = var.notification_api
      MISSTEP_INTERNAL_GROUP_EMAIL = var.internal_group_email
      MISSTEP_EXTERNAL_GROUP_EMAIL = var.external_group_email
    },
    length(var.step_function_arns) == 0 ? {} : { MISSTEP_STEP_FUNCTION_ARNS = join(",", var.step_function_arns) },
    var.map_run_children == "fold" ? {} : { MISSTEP_MAP_RUN_CHILDREN = var.map_run_children },
    var.incident_table == null ? {} : { MISSTEP_INCIDENT_STORE = "dynamodb:${var.incident_table}" },
  )
}

output "queue_url" {
  description = "MISSTEP_QUEUE_URL"
  value       = aws_sqs_queue.queue.id
}

output "queue_arn" {
  description = "ARN of the queue of failure events."
  value       = aws_sqs_queue.queue.arn
}

output "queue_name" {
  description = "Name of the queue of failure events, as CloudWatch knows it."
  value       = aws_sqs_queue.queue.name
}

output "dead_letter_queue_url" {
  description = "MISSTEP_DLQ_URL"
  value       = aws_sqs_queue.dead_letter.id
}

output "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dead_letter.arn
}

output "target_dead_letter_queue_url" {
  description = "Events that EventBridge could not deliver."
  value       = aws_sqs_queue.target_dead_letter.id
}

output "target_dead_letter_queue_arn" {
  description = "ARN of the queue of events that EventBridge could not deliver."
  value       = aws_sqs_queue.target_dead_letter.arn
}

output "event_rule_arn" {
  description = "ARN of the EventBridge rule."
  value       = aws_cloudwatch_event_rule.failures.arn
}

output "worker_policy_arn" {
  description = "For the role that the worker runs with."
  value       = aws_iam_policy.worker.arn
}

output "worker_policy_json" {
  description = "The same as a document, for an inline policy."
  value       = local.worker_policy
}

output "incident_table_arn" {
  description = "ARN of the table of incidents; null without incident_table."
  value       = one(aws_dynamodb_table.incidents[*].arn)
}

output "sweep_policy_arn" {
  description = "For the same role, where incidents are kept."
  value       = aws_iam_policy.sweep.arn
}

output "logs_policy_arn" {
  description = "For the same role, where routes show logs; null without log_group_arns."
  value       = one(aws_iam_policy.logs[*].arn)
}

output "replay_policy_arn" {
  description = "For whoever runs misstep dlq."
  value       = aws_iam_policy.replay.arn
}

output "replay_policy_json" {
  description = "The same as a document, for an inline policy."
  value       = local.replay_policy
}
