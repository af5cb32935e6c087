# Stands apart because older providers, among them the one that the tests plan with, do not know metric
# math here.

resource "aws_appautoscaling_policy" "backlog" {
  count = local.scales ? 1 : 0

  name               = "${var.event_rule_name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.worker[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.worker[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_out_cooldown = 60
    # A task that goes too soon is missed; one that stays for ten minutes more costs a cent.
    scale_in_cooldown = 600

    customized_metric_specification {
      metrics {
        id          = "waiting"
        label       = "Messages that no worker has"
        return_data = false

        metric_stat {
          stat = "Maximum"

          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"

            dimensions {
              name  = "QueueName"
              value = module.misstep.queue_name
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        label       = "Running tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.cluster.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.worker.name
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        label       = "Messages waiting for each task"
        expression  = "waiting / tasks"
        return_data = true
      }
    }
  }
}
