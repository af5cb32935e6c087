# `terraform test` in the module's folder. Nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1" }
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
}

variables {
  application_name     = "web-shop"
  event_rule_name      = "shop.failures"
  external_group_email = "assist@example.com"
  internal_group_email = "dev-team@example.com"
  notification_api     = "https://notify.example.com/send"
}

run "all_state_machines_are_watched_by_default" {
  assert {
    condition     = !can(jsondecode(aws_cloudwatch_event_rule.failures.event_pattern).detail.stateMachineArn)
    error_message = "the pattern must not narrow"
  }
  assert {
    condition     = strcontains(output.worker_policy_json, "\"arn:aws:states:eu-west-1:123456789012:execution:*:*\"")
    error_message = "the worker must be able to read all executions"
  }
  assert {
    condition     = output.worker_environment.AWS_REGION == "eu-west-1"
    error_message = "the worker must be told where its queue is"
  }
  assert {
    condition     = !can(output.worker_environment.MISSTEP_STEP_FUNCTION_ARNS)
    error_message = "the worker must handle all state machines"
  }
  assert {
    condition     = !strcontains(output.worker_policy_json, "kms:") && !strcontains(output.worker_policy_json, "sns:") && !strcontains(output.worker_policy_json, "ses:")
    error_message = "what is not asked for must not be allowed"
  }
}

run "queues_are_named_after_the_rule_without_dots" {
  assert {
    condition     = aws_sqs_queue.queue.name == "shop-failures" && aws_sqs_queue.dead_letter.name == "shop-failures-dlq" && aws_sqs_queue.target_dead_letter.name == "shop-failures-target-dlq"
    error_message = "queues cannot have a dot"
  }
  assert {
    condition     = aws_cloudwatch_event_rule.failures.name == "shop.failures"
    error_message = "the rule has the name that it was given"
  }
}

run "env_and_application_are_tags_that_stay" {
  variables {
    tags = { team = "payments", env = "other" }
  }
  assert {
    condition     = aws_sqs_queue.queue.tags == tomap({ application = "web-shop", env = "dev", team = "payments" })
    error_message = "the tags are not those"
  }
}

run "named_state_machines_narrow_pattern_policy_and_worker" {
  variables {
    step_function_arns       = ["arn:aws:states:eu-west-1:123456789012:stateMachine:orders"]
    child_state_machine_arns = ["arn:aws:states:eu-west-1:123456789012:stateMachine:ledger"]
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.failures.event_pattern).detail.stateMachineArn == ["arn:aws:states:eu-west-1:123456789012:stateMachine:orders"]
    error_message = "only the named ones are watched"
  }
  assert {
    condition     = strcontains(output.worker_policy_json, ":execution:ledger:*") && strcontains(output.worker_policy_json, ":mapRun:orders/*") && !strcontains(output.worker_policy_json, ":execution:*")
    error_message = "the named ones and their children, and no others, are readable"
  }
  assert {
    condition     = output.worker_environment.MISSTEP_STEP_FUNCTION_ARNS == "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
    error_message = "the worker handles the watched ones"
  }
}

run "a_child_elsewhere_is_readable_where_all_are_watched" {
  variables {
    child_state_machine_arns = ["arn:aws:states:us-east-1:123456789012:stateMachine:ledger"]
  }
  assert {
    condition = {
      for statement in jsondecode(output.worker_policy_json).Statement : statement.Sid => statement.Resource
      if startswith(statement.Sid, "Read")
      } == {
      ReadExecutions = [
        "arn:aws:states:eu-west-1:123456789012:execution:*:*", "arn:aws:states:us-east-1:123456789012:execution:ledger:*",
        "arn:aws:states:eu-west-1:123456789012:execution:*/*", "arn:aws:states:us-east-1:123456789012:execution:ledger/*",
      ]
      ReadMapRuns = [
        "arn:aws:states:eu-west-1:123456789012:mapRun:*/*", "arn:aws:states:us-east-1:123456789012:mapRun:ledger/*",
      ]
    }
    error_message = "all of here, and the child there"
  }
}
