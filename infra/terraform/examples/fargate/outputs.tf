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

output "task_definition_arn" {
  description = "What the service runs, for `aws ecs run-task`."
  value       = aws_ecs_task_definition.worker.arn
}

output "network_configuration" {
  description = "Where it runs, for `aws ecs run-task`."
  value = jsonencode({
    awsvpcConfiguration = {
      subnets        = var.subnet_ids
      securityGroups = [aws_security_group.worker.id]
      assignPublicIp = var.assign_public_ip ? "ENABLED" : "DISABLED"
    }
  })
}

output "security_group_id" {
  description = "The security group of the tasks, for VPC endpoints to let in."
  value       = aws_security_group.worker.id
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
