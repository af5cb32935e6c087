# `terraform test` in this folder. Nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:mocked" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/mocked" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/mocked" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mocked" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/mocked" }
  }
  mock_resource "aws_security_group" {
    defaults = { id = "sg-mocked" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/mocked:1" }
  }
}

variables {
  application_name     = "web-shop"
  event_rule_name      = "shop-failures"
  external_group_email = "assist@example.com"
  internal_group_email = "dev-team@example.com"
  notification_api     = "https://notify.example.com/send"
  image                = "registry.example.com/misstep:0.1.0"
  vpc_id               = "vpc-1"
  subnet_ids           = ["subnet-1", "subnet-2"]
}

run "a_worker_that_hangs_is_noticed" {
  assert {
    condition = jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].healthCheck.command == [
      "CMD", "/usr/local/bin/misstep", "health"
    ]
    error_message = "the health check must ask the worker, without a shell"
  }
}

run "the_worker_can_write_nowhere_and_is_not_root" {
  assert {
    condition     = jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].readonlyRootFilesystem
    error_message = "the root file system must be read-only"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].user == "65532:65532"
    error_message = "it must not run as root"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]
    error_message = "it needs no capability"
  }
}

run "nothing_may_come_in" {
  assert {
    condition     = alltrue([for rule in aws_security_group_rule.out : rule.type == "egress"])
    error_message = "nobody calls the worker"
  }
  assert {
    condition     = [for rule in aws_security_group_rule.out : rule.to_port] == [443]
    error_message = "it calls port 443 only"
  }
}

run "the_only_task_has_the_whole_history_rate" {
  assert {
    condition = one([
      for setting in jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].environment :
      setting.value if setting.name == "MISSTEP_HISTORY_RATE"
    ]) == "10"
    error_message = "ten calls a second, by one task"
  }
  assert {
    condition     = length(aws_appautoscaling_target.worker) == 0 && one(aws_ecs_cluster.cluster.setting).value == "disabled"
    error_message = "nothing scales, and nobody needs Container Insights"
  }
}

run "all_tasks_together_keep_to_one_history_rate" {
  variables {
    max_tasks = 4
  }
  assert {
    condition = one([
      for setting in jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].environment :
      setting.value if setting.name == "MISSTEP_HISTORY_RATE"
    ]) == "2.5"
    error_message = "ten calls a second, by four tasks"
  }
  assert {
    condition     = aws_appautoscaling_target.worker[0].min_capacity == 1 && aws_appautoscaling_target.worker[0].max_capacity == 4
    error_message = "one to four tasks"
  }
  assert {
    condition     = one(aws_ecs_cluster.cluster.setting).value == "enabled"
    error_message = "the scaling divides by the tasks that Container Insights counts"
  }
}

run "a_rate_that_needs_a_raised_quota_is_warned_of_and_taken" {
  command = plan
  variables {
    history_rate = 50
  }
  expect_failures = [check.history_rate]
}

run "no_rate_at_all_is_refused" {
  command = plan
  variables {
    history_rate = 0
  }
  expect_failures = [var.history_rate]
}

run "an_architecture_that_fargate_does_not_have_is_refused" {
  command = plan
  variables {
    cpu_architecture = "riscv64"
  }
  expect_failures = [var.cpu_architecture]
}

run "what_the_log_shows_sets_off_alarms" {
  variables {
    alarm_topic_arn = "arn:aws:sns:eu-west-1:123456789012:alarms"
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.watched)) == toset(["breaker-open", "route-fails", "degraded-reports", "errors"])
    error_message = "an open breaker, a route that fails, reports without a history, errors"
  }
  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_metric_alarm.watched :
      alarm.alarm_actions == toset(["arn:aws:sns:eu-west-1:123456789012:alarms"]) &&
      alarm.metric_name == one(aws_cloudwatch_log_metric_filter.watched[name].metric_transformation).name &&
      aws_cloudwatch_log_metric_filter.watched[name].log_group_name == aws_cloudwatch_log_group.worker.name
    ])
    error_message = "each counts lines of the worker's log, and goes to the topic"
  }
}

run "a_boundary_and_a_path_are_on_every_role" {
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    iam_path                 = "/teams/payments/"
  }
  assert {
    condition = alltrue([
      for role in [aws_iam_role.worker, aws_iam_role.execution] :
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" && role.path == "/teams/payments/"
    ])
    error_message = "accounts that ask for them refuse roles without"
  }
}

run "without_secrets_nothing_may_be_read" {
  assert {
    condition     = length(aws_iam_role_policy.secrets) == 0
    error_message = "there is nothing to read"
  }
}

run "secrets_are_taken_from_where_they_are" {
  variables {
    secrets = {
      SLACK_WEBHOOK = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf:url::"
      PAGER_TOKEN   = "arn:aws:ssm:eu-west-1:123456789012:parameter/misstep/pager"
    }
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.secrets[0].policy).Statement[*].Resource == [
      ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf"],
      ["arn:aws:ssm:eu-west-1:123456789012:parameter/misstep/pager"],
    ]
    error_message = "the secrets themselves, and nothing else"
  }
  assert {
    condition = jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].secrets == [
      { name = "PAGER_TOKEN", valueFrom = "arn:aws:ssm:eu-west-1:123456789012:parameter/misstep/pager" },
      { name = "SLACK_WEBHOOK", valueFrom = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:slack-AbCdEf:url::" },
    ]
    error_message = "ECS puts them into the environment"
  }
}

run "an_image_that_may_change_is_refused" {
  command = plan
  variables {
    image = "registry.example.com/misstep:latest"
  }
  expect_failures = [var.image]
}

run "none_is_too_few" {
  command = plan
  variables {
    min_tasks = 0
  }
  expect_failures = [var.min_tasks]
}

run "the_most_are_no_fewer_than_the_least" {
  command = plan
  variables {
    min_tasks = 3
    max_tasks = 2
  }
  expect_failures = [aws_ecs_service.worker]
}

run "the_worker_is_told_where_its_queue_is" {
  assert {
    condition = one([
      for setting in jsondecode(aws_ecs_task_definition.worker.container_definitions)[0].environment :
      setting.value if setting.name == "AWS_REGION"
    ]) == "eu-west-1"
    error_message = "nothing in the container says the region otherwise"
  }
}

run "a_task_by_hand_runs_where_the_service_does" {
  variables {
    assign_public_ip = true
  }
  assert {
    condition = jsondecode(output.network_configuration).awsvpcConfiguration == {
      subnets        = ["subnet-1", "subnet-2"]
      securityGroups = [output.security_group_id]
      assignPublicIp = "ENABLED"
    }
    error_message = "not as the service's"
  }
}
