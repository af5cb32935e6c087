# How many tasks: as many as it takes for each to have no more than `backlog_per_task` messages before it. Where
# min_tasks and max_tasks are the same, there is nothing to scale.

resource "aws_appautoscaling_target" "worker" {
  count = local.scales ? 1 : 0

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.cluster.name}/${aws_ecs_service.worker.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}
