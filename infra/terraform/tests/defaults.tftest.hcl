# `terraform test` in the module's folder. Nothing is asked of AWS.

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
    condition     = jsondecode(aws_cloudwatch_event_rule.failures.event_pattern).detail.stateMachineArn == [{ anything-but = { wildcard = "*:stateMachine:*/*" } }]
    error_message = "the pattern must not narrow but for the children of Map runs"
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
  assert {
    condition     = !can(output.worker_environment.MISSTEP_MAP_RUN_CHILDREN)
    error_message = "folding is the worker's default"
  }
  assert {
    condition = (
      length(aws_dynamodb_table.incidents) == 0 && !strcontains(output.worker_policy_json, "dynamodb:") &&
      !can(output.worker_environment.MISSTEP_INCIDENT_STORE)
    )
    error_message = "incidents are kept only where a table is asked for"
  }
}

run "incidents_have_a_table_where_one_is_asked_for" {
  variables {
    incident_table = "shop-incidents"
  }
  assert {
    condition     = output.worker_environment.MISSTEP_INCIDENT_STORE == "dynamodb:shop-incidents"
    error_message = "the worker must be told of it"
  }
  assert {
    condition = (
      strcontains(output.worker_policy_json, "\"arn:aws:dynamodb:eu-west-1:123456789012:table/shop-incidents\"") &&
      strcontains(output.worker_policy_json, "\"arn:aws:dynamodb:eu-west-1:123456789012:table/shop-incidents/index/due\"")
    )
    error_message = "the worker must be able to use the table and its index"
  }
  assert {
    condition     = one(aws_dynamodb_table.incidents).billing_mode == "PAY_PER_REQUEST"
    error_message = "what it costs follows what fails"
  }
}

run "children_of_map_runs_come_in_where_they_are_asked_for" {
  variables {
    map_run_children   = "notify"
    step_function_arns = ["arn:aws:states:eu-west-1:123456789012:stateMachine:orders"]
  }
  assert {
    condition     = !can(jsondecode(aws_cloudwatch_event_rule.failures.event_pattern).detail.stateMachineArn)
    error_message = "the pattern must let them in"
  }
  assert {
    condition = (
      output.worker_environment.MISSTEP_MAP_RUN_CHILDREN == "notify" &&
      output.worker_environment.MISSTEP_STEP_FUNCTION_ARNS == "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
    )
    error_message = "the worker narrows, since the pattern does not"
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

run "a_new_name_keeps_the_queues_and_what_waits_in_them" {
  variables {
    event_rule_name = "renamed"
  }
  assert {
    condition     = aws_sqs_queue.queue.name == "shop-failures" && aws_sqs_queue.dead_letter.name == "shop-failures-dlq" && aws_sqs_queue.target_dead_letter.name == "shop-failures-target-dlq"
    error_message = "a queue with another name is another queue, and the messages of the first are gone"
  }
  assert {
    condition     = aws_cloudwatch_event_rule.failures.name == "renamed" && strcontains(output.worker_policy_json, "\"arn:aws:sqs:eu-west-1:123456789012:shop-failures\"")
    error_message = "the rule has the new name, and the policy names the queue that there is"
  }
}

run "keys_of_state_machines_are_used_through_step_functions_only" {
  variables {
    state_machine_key_arns = ["arn:aws:kms:eu-west-1:123456789012:key/0f8fad5b"]
  }
  assert {
    condition = [for statement in jsondecode(output.worker_policy_json).Statement : statement if statement.Sid == "ReadEncryptedExecutions"] == [{
      Sid       = "ReadEncryptedExecutions"
      Effect    = "Allow"
      Action    = "kms:Decrypt"
      Resource  = ["arn:aws:kms:eu-west-1:123456789012:key/0f8fad5b"]
      Condition = { StringLike = { "kms:ViaService" = "states.*" } }
    }]
    error_message = "the key must be readable, and only for what Step Functions encrypts"
  }
}

run "a_worker_that_is_gone_is_noticed_without_a_failure" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.no_worker.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.no_worker.comparison_operator == "LessThanThreshold"
    error_message = "no data means that nobody polls"
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
    condition     = strcontains(output.worker_policy_json, ":execution:ledger:*") && strcontains(output.worker_policy_json, ":mapRun:orders/*") && strcontains(output.worker_policy_json, ":express:orders/*") && !strcontains(output.worker_policy_json, ":execution:*")
    error_message = "the named ones and their children, and no others, are readable"
  }
  assert {
    condition     = output.worker_environment.MISSTEP_STEP_FUNCTION_ARNS == "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"
    error_message = "the worker handles the watched ones"
  }
}

run "children_are_readable_where_all_are_watched" {
  variables {
    child_state_machine_arns = ["arn:aws:states:eu-west-1:210987654321:stateMachine:ledger"]
  }
  assert {
    condition = {
      for statement in jsondecode(output.worker_policy_json).Statement : statement.Sid => statement.Resource
      if can(regex("^states:", flatten([statement.Action])[0]))
      } == {
      ReadExecutions = [
        "arn:aws:states:eu-west-1:123456789012:execution:*:*", "arn:aws:states:eu-west-1:210987654321:execution:ledger:*",
        "arn:aws:states:eu-west-1:123456789012:execution:*/*", "arn:aws:states:eu-west-1:210987654321:execution:ledger/*",
      ]
      DescribeExpressChildren = [
        "arn:aws:states:eu-west-1:123456789012:express:*/*", "arn:aws:states:eu-west-1:210987654321:express:ledger/*",
      ]
      ReadMapRuns = [
        "arn:aws:states:eu-west-1:123456789012:mapRun:*/*", "arn:aws:states:eu-west-1:210987654321:mapRun:ledger/*",
      ]
    }
    error_message = "all of here, and the one that is named"
  }
}
