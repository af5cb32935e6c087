# How many tasks: as many as it takes for each to have no more than `backlog_per_task` messages before it.

resource "aws_appautoscaling_target" "worker" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.cluster.name}/${aws_ecs_service.worker.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks

  lifecycle {
    precondition {
      condition     = var.min_tasks <= var.max_tasks
      error_message = "The max_tasks must be no less than min_tasks: there cannot be ${var.min_tasks} tasks at least and ${var.max_tasks} at most."
    }
  }
}
