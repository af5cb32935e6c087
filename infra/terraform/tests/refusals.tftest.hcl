# A value that AWS or the worker would refuse is refused by `terraform plan`.

mock_provider "aws" {}

variables {
  application_name     = "web-shop"
  event_rule_name      = "shop.failures"
  external_group_email = "assist@example.com"
  internal_group_email = "dev-team@example.com"
  notification_api     = "https://notify.example.com/send"
}

run "application_name" {
  command = plan
  variables {
    application_name = "Shop & Co (EU)"
  }
  expect_failures = [var.application_name]
}

run "env" {
  command = plan
  variables {
    env = " "
  }
  expect_failures = [var.env]
}

run "event_rule_name" {
  command = plan
  variables {
    event_rule_name = "with space"
  }
  expect_failures = [var.event_rule_name]
}

run "external_group_email" {
  command = plan
  variables {
    external_group_email = "nobody"
  }
  expect_failures = [var.external_group_email]
}

run "internal_group_email" {
  command = plan
  variables {
    internal_group_email = "two words@example.com"
  }
  expect_failures = [var.internal_group_email]
}

run "notification_api" {
  command = plan
  variables {
    notification_api = "notify.example.com"
  }
  expect_failures = [var.notification_api]
}

run "step_function_arns" {
  command = plan
  variables {
    step_function_arns = ["arn:aws:states:eu-west-1:123456789012:stateMachine:orders:1"]
  }
  expect_failures = [var.step_function_arns]
}

run "child_state_machine_arns" {
  command = plan
  variables {
    child_state_machine_arns = ["orders"]
  }
  expect_failures = [var.child_state_machine_arns]
}

run "map_run_children" {
  command = plan
  variables {
    map_run_children = "ignore"
  }
  expect_failures = [var.map_run_children]
}

run "state_machine_key_arns" {
  command = plan
  variables {
    state_machine_key_arns = ["alias/executions"]
  }
  expect_failures = [var.state_machine_key_arns]
}

run "incident_table" {
  command = plan
  variables {
    incident_table = "no/slashes"
  }
  expect_failures = [var.incident_table]
}

run "iam_path" {
  command = plan
  variables {
    iam_path = "teams"
  }
  expect_failures = [var.iam_path]
}

run "tags" {
  command = plan
  variables {
    tags = { team = "payments & billing" }
  }
  expect_failures = [var.tags]
}

run "an_empty_application_name" {
  command = plan
  variables {
    application_name = ""
  }
  expect_failures = [var.application_name]
}

run "an_application_name_with_a_space_at_its_end" {
  command = plan
  variables {
    application_name = "shop "
  }
  expect_failures = [var.application_name]
}

run "visibility_timeout_seconds" {
  command = plan
  variables {
    visibility_timeout_seconds = 43201
  }
  expect_failures = [var.visibility_timeout_seconds]
}

run "max_receive_count" {
  command = plan
  variables {
    max_receive_count = 0
  }
  expect_failures = [var.max_receive_count]
}

run "message_retention_seconds" {
  command = plan
  variables {
    message_retention_seconds = 1209600
  }
  expect_failures = [var.message_retention_seconds]
}

run "kms_key_arn" {
  command = plan
  variables {
    kms_key_arn = "alias/aws/sqs"
  }
  expect_failures = [var.kms_key_arn]
}

run "alarm_topic_arn" {
  command = plan
  variables {
    alarm_topic_arn = "alarms"
  }
  expect_failures = [var.alarm_topic_arn]
}

run "oldest_message_alarm_seconds" {
  command = plan
  variables {
    oldest_message_alarm_seconds = 59
  }
  expect_failures = [var.oldest_message_alarm_seconds]
}

run "log_group_arns" {
  command = plan
  variables {
    log_group_arns = ["arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/charge"]
  }
  expect_failures = [var.log_group_arns]
}

run "notification_topic_arns" {
  command = plan
  variables {
    notification_topic_arns = ["arn:aws:sns:eu-west-1:123456789012:a,b"]
  }
  expect_failures = [var.notification_topic_arns]
}

run "notification_key_arns" {
  command = plan
  variables {
    notification_key_arns = ["alias/topics"]
  }
  expect_failures = [var.notification_key_arns]
}

run "notification_identity_arns" {
  command = plan
  variables {
    notification_identity_arns = ["me@example.com"]
  }
  expect_failures = [var.notification_identity_arns]
}

run "policies_longer_than_iam_takes" {
  command = plan
  variables {
    step_function_arns       = ["arn:aws:states:eu-west-1:123456789012:stateMachine:orders"]
    child_state_machine_arns = [for number in range(40) : "arn:aws:states:eu-west-1:123456789012:stateMachine:orders-${number}"]
  }
  expect_failures = [aws_iam_policy.worker, aws_iam_policy.replay]
}
