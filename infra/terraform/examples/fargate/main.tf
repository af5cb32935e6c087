# The queues of the module, and the worker on ECS Fargate: a service of one task or more. docs/deploy.md
# leads through it.

module "misstep" {
  source = "../.."

  application_name             = var.application_name
  env                          = var.env
  event_rule_name              = var.event_rule_name
  external_group_email         = var.external_group_email
  internal_group_email         = var.internal_group_email
  notification_api             = var.notification_api
  step_function_arns           = var.step_function_arns
  child_state_machine_arns     = var.child_state_machine_arns
  map_run_children             = var.map_run_children
  state_machine_key_arns       = var.state_machine_key_arns
  visibility_timeout_seconds   = var.visibility_timeout_seconds
  max_receive_count            = var.max_receive_count
  message_retention_seconds    = var.message_retention_seconds
  kms_key_arn                  = var.kms_key_arn
  alarm_topic_arn              = var.alarm_topic_arn
  oldest_message_alarm_seconds = var.oldest_message_alarm_seconds
  log_group_arns               = var.log_group_arns
  notification_topic_arns      = var.notification_topic_arns
  notification_key_arns        = var.notification_key_arns
  notification_identity_arns   = var.notification_identity_arns
  incident_table               = var.incident_table
  iam_path                     = var.iam_path
  tags                         = var.tags
}

data "aws_region" "here" {}
data "aws_partition" "here" {}
data "aws_caller_identity" "here" {}

locals {
  tags = merge(var.tags, { application = var.application_name, env = var.env })

  # One task does all that the account's quota of histories allows: docs/scaling.md.
  scales = var.max_tasks > var.min_tasks

  environment = merge(module.misstep.worker_environment, {
    # The limit holds for a process, AWS's quota for the account: docs/scaling.md.
    MISSTEP_HISTORY_RATE = tostring(var.history_rate / var.max_tasks)
  })

  container = {
    name      = "misstep"
    image     = var.image
    essential = true

    user                   = "65532:65532"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { add = [], drop = ["ALL"] }, initProcessEnabled = false }

    # SIGTERM, then SIGKILL after so many seconds. The worker needs 40 at most with its default settings:
    # a grace period of 25, the last poll's wait of 10, and 5 to release what is left.
    stopTimeout = 60

    # Asks the worker's own /livez, which is green while a breaker is open and while the worker drains.
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/misstep", "health"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }

    environment = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets     = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.worker.name
        awslogs-region        = data.aws_region.here.region
        awslogs-stream-prefix = "worker"
        # ECS's default by now, with a larger buffer: a worker that waited for its log would stop. Lines that
        # the buffer has no room for are lost.
        mode            = "non-blocking"
        max-buffer-size = "25m"
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "worker" {
  name              = "/misstep/${var.event_rule_name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

# Container Insights counts the running tasks, which the scaling divides by. It costs as much as a task, and is
# of no use without the scaling.
resource "aws_ecs_cluster" "cluster" {
  name = var.event_rule_name
  tags = local.tags

  setting {
    name  = "containerInsights"
    value = local.scales ? "enabled" : "disabled"
  }
}

resource "aws_ecs_task_definition" "worker" {
  family                   = "${var.event_rule_name}-worker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  # No less than the worker's memory budget (256 MiB by default) and 150 MiB: docs/scaling.md.
  memory                = 512
  task_role_arn         = aws_iam_role.worker.arn
  execution_role_arn    = aws_iam_role.execution.arn
  container_definitions = jsonencode([local.container])
  tags                  = local.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }
}

resource "aws_ecs_service" "worker" {
  name            = "worker"
  cluster         = aws_ecs_cluster.cluster.arn
  task_definition = aws_ecs_task_definition.worker.arn
  launch_type     = "FARGATE"
  desired_count   = var.min_tasks
  propagate_tags  = "SERVICE"
  tags            = local.tags

  # The new task is on the queue before the old one drains; two at a time do no harm. A version that
  # cannot start is taken back.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.worker.id]
    assign_public_ip = var.assign_public_ip
  }

  lifecycle {
    # The scaling sets it from then on.
    ignore_changes = [desired_count]

    precondition {
      condition     = var.min_tasks <= var.max_tasks
      error_message = "The max_tasks must be no less than min_tasks: there cannot be ${var.min_tasks} tasks at least and ${var.max_tasks} at most."
    }
  }

  # A task that starts without its permissions, or cannot call out, would end at once, and the deployment
  # with it.
  depends_on = [
    aws_iam_role_policy_attachment.worker,
    aws_iam_role_policy_attachment.execution,
    aws_iam_role_policy.secrets,
    aws_security_group_rule.out,
  ]
}

# Nobody calls the worker: nothing may come in. It calls AWS and the routes. Names are asked of the VPC's
# resolver, which security groups do not stand before.
resource "aws_security_group" "worker" {
  name_prefix = "${var.event_rule_name}-worker-"
  description = "The misstep worker: calls out, is not called"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group_rule" "out" {
  for_each = toset([for port in var.egress_ports : tostring(port)])

  security_group_id = aws_security_group.worker.id
  description       = "AWS and the notification routes"
  type              = "egress"
  protocol          = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_blocks       = ["0.0.0.0/0"]
}
