output "worker_environment" {
  description = "The worker's settings, for `misstep check` and `misstep dlq` elsewhere."
  value       = module.misstep.worker_environment
}

output "cluster_name" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.cluster.name
}

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.worker.name
}

output "task_role_arn" {
  description = "The role that the worker runs with."
  value       = aws_iam_role.worker.arn
}

output "log_group_name" {
  description = "Where its log is."
  value       = aws_cloudwatch_log_group.worker.name
}

output "replay_policy_arn" {
  description = "For whoever runs misstep dlq."
  value       = module.misstep.replay_policy_arn
}
